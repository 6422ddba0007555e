//! The result of a run, for machines and for people.
use crate::history::{End, History};
use crate::latency::Figures;
use crate::operator::{AuditLine, AuditVerdict};
use crate::scenario::Scenario;
use crate::verdict::Verdict;
use crate::waits::Waits;
use ledger::audit::Invariant;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// Breaches and faults that are written out; the rest is counted.
const EXAMPLES_MAX: usize = 5;

/// The most claims that one admission may take on average, where many are admitted.
const CLAIMS_EACH_MAX: u64 = 3;
const MANY: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    Held,
    Broken,
    NotChecked,
}

/// What the clients and the audit together say about one invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) verdict: Standing,
    /// Things looked at, by clients and by the audit.
    pub(crate) checked: u64,
    pub(crate) by: Vec<&'static str>,
    pub(crate) breaches: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) examples: Vec<String>,
}

/// Everything a spike found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) users: u64,
    pub(crate) joined: u64,
    pub(crate) admitted: u64,
    pub(crate) held: u64,
    pub(crate) booked: u64,
    pub(crate) confirmed: u64,
    pub(crate) declined: u64,
    pub(crate) refunded: u64,
    pub(crate) missed: u64,
    pub(crate) left: u64,
    pub(crate) refused: u64,
    pub(crate) errors: u64,
    pub(crate) oversold: u64,
    pub(crate) seats: u64,
    pub(crate) seats_sold: u64,
    /// How often passes were asked for, by those who had a place.
    pub(crate) claims: u64,
    /// Waits that were told and came to their end, how many ended within what was told, and how
    /// wide that was in the middle case, as a share of the wait.
    pub(crate) waits_told: u64,
    pub(crate) waits_true: u64,
    pub(crate) wait_width: f64,
    /// Answers that said "come again", and requests whose answer was lost; all were repeated.
    pub(crate) sheds: u64,
    pub(crate) lost: u64,
    pub(crate) connections: u64,
    pub(crate) rate_per_minute: u32,
    pub(crate) capacity: u32,
    pub(crate) seed: u64,
    #[serde(serialize_with = "by_number")]
    pub(crate) invariants: BTreeMap<Invariant, Line>,
    pub(crate) latency_ms: BTreeMap<&'static str, Figures>,
    pub(crate) duration_seconds: f64,
    pub(crate) faults: BTreeMap<String, u64>,
}

/// What the run measured beside the histories.
pub(crate) struct Measured {
    pub(crate) oversold: u64,
    pub(crate) connections: u64,
    pub(crate) latency_ms: BTreeMap<&'static str, Figures>,
    pub(crate) duration_seconds: f64,
}

/// Invariants are keyed by their number; the name stands beside the verdict.
fn by_number<S: Serializer>(lines: &BTreeMap<Invariant, Line>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(lines.iter().map(|(invariant, line)| (invariant.to_string(), line)))
}

impl Report {
    pub(crate) fn new(
        scenario: &Scenario,
        histories: &[History],
        clients: &BTreeMap<Invariant, Verdict>,
        audit: &[AuditLine],
        required: &[Invariant],
        measured: Measured,
    ) -> Self {
        let count = |holds: &dyn Fn(&History) -> bool| {
            histories.iter().filter(|history| holds(history)).count() as u64
        };
        let ended = |end: End| count(&|history| history.end == end);
        let waits = Waits::of(histories);
        let mut faults = BTreeMap::new();
        for fault in histories.iter().flat_map(|history| &history.faults) {
            *faults.entry(fault.clone()).or_default() += 1;
        }
        Self {
            users: u64::from(scenario.users),
            joined: count(&|history| history.joined.is_some()),
            admitted: count(&|history| history.admitted),
            held: count(&|history| !history.holds.is_empty()),
            booked: count(&|history| !history.bookings.is_empty()),
            confirmed: ended(End::Confirmed),
            declined: ended(End::Declined),
            refunded: ended(End::Refunded),
            missed: ended(End::Missed),
            left: ended(End::Left),
            refused: ended(End::Refused),
            errors: ended(End::Error),
            oversold: measured.oversold,
            seats: u64::from(scenario.seats),
            seats_sold: histories.iter().flat_map(History::confirmed_seats).count() as u64,
            claims: histories.iter().map(|history| u64::from(history.claims)).sum(),
            waits_told: waits.told,
            waits_true: waits.came_true,
            wait_width: waits.width,
            sheds: histories.iter().map(|history| u64::from(history.sheds)).sum(),
            lost: histories.iter().map(|history| u64::from(history.lost)).sum(),
            connections: measured.connections,
            rate_per_minute: scenario.rate_per_minute,
            capacity: scenario.capacity,
            seed: scenario.seed,
            invariants: complete(merged(clients, audit), required),
            latency_ms: measured.latency_ms,
            duration_seconds: measured.duration_seconds,
            faults,
        }
    }

    /// True when every promise was kept and the server made no error.
    pub(crate) fn passed(&self) -> bool {
        let broken = self.invariants.values().any(|line| line.verdict == Standing::Broken);
        let asked_well = self.admitted < MANY || self.claims <= CLAIMS_EACH_MAX * self.admitted;
        !broken && asked_well && self.errors == 0 && self.oversold == 0 && self.faults.is_empty()
    }

    /// Every breach and every error, as far as they are known one by one.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        let broken = self.invariants.iter().filter(|(_, line)| line.verdict == Standing::Broken);
        let breaches = broken.flat_map(|(invariant, line)| {
            let count = line.breaches;
            let name = format!("{invariant} {}", line.name);
            let last = format!("{name} broken {count} times");
            let first = line.examples.iter().map(move |what| format!("{name} {what}"));
            first.chain(std::iter::once(last))
        });
        let asked = self.claims > CLAIMS_EACH_MAX * self.admitted && self.admitted >= MANY;
        let claims = asked.then(|| format!("{} claims for {}", self.claims, self.admitted));
        let faults = self.faults.iter().map(|(fault, count)| format!("{count} times: {fault}"));
        breaches.chain(claims).chain(faults).collect()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> fmt::Result {
        for (name, value) in [
            ("users", self.users),
            ("joined", self.joined),
            ("admitted", self.admitted),
            ("held", self.held),
            ("booked", self.booked),
            ("confirmed", self.confirmed),
            ("declined", self.declined),
            ("refunded", self.refunded),
            ("missed", self.missed),
            ("left", self.left),
            ("refused", self.refused),
            ("errors", self.errors),
            ("oversold", self.oversold),
        ] {
            write!(to, "{name} {value}  ")?;
        }
        writeln!(to, "\nseats sold {} of {}", self.seats_sold, self.seats)?;
        let (sheds, lost, open) = (self.sheds, self.lost, self.connections);
        writeln!(to, "told to come again {sheds}, answers lost {lost}, connections {open}")?;
        let (told, came_true, width) = (self.waits_told, self.waits_true, self.wait_width);
        let each = self.claims as f64 / self.admitted.max(1) as f64;
        writeln!(to, "claims {}, {each:.2} for each who was admitted", self.claims)?;
        writeln!(to, "waits as told {came_true} of {told}, told within {width:.2} of the wait")?;
        writeln!(to, "\n{:<16}{:>10}{:>10}{:>10}{:>10}", "ms", "count", "p50", "p99", "max")?;
        for (route, Figures { count, p50, p99, max }) in &self.latency_ms {
            writeln!(to, "{route:<16}{count:>10}{p50:>10.1}{p99:>10.1}{max:>10.1}")?;
        }
        writeln!(to)?;
        for (invariant, line) in &self.invariants {
            write_line(to, *invariant, line)?;
        }
        for (fault, count) in self.faults.iter().take(EXAMPLES_MAX) {
            writeln!(to, "error, {count} times: {fault}")?;
        }
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        writeln!(to, "\n{verdict} in {:.1} s", self.duration_seconds)
    }
}

fn write_line(to: &mut String, invariant: Invariant, line: &Line) -> fmt::Result {
    let (checked, by) = (line.checked, line.by.join(" and "));
    write!(to, "{invariant} {} ", line.name)?;
    match line.verdict {
        Standing::Held => writeln!(to, "held {checked} checked by {by}"),
        Standing::NotChecked => writeln!(to, "not checked"),
        Standing::Broken => {
            writeln!(to, "BROKEN {} times, {checked} checked by {by}", line.breaches)?;
            line.examples.iter().try_for_each(|example| writeln!(to, "    {example}"))
        }
    }
}

impl Line {
    fn not_checked(invariant: Invariant) -> Self {
        Self {
            name: invariant.name(),
            verdict: Standing::NotChecked,
            checked: 0,
            by: vec![],
            breaches: 0,
            examples: vec![],
        }
    }
}

/// A run in which a required invariant met nothing has made no progress (I22).
fn complete(
    mut lines: BTreeMap<Invariant, Line>,
    required: &[Invariant],
) -> BTreeMap<Invariant, Line> {
    let unchecked = |invariant: &&Invariant| {
        lines.get(invariant).is_none_or(|line| line.verdict == Standing::NotChecked)
    };
    let missing: Vec<Invariant> = required.iter().filter(unchecked).copied().collect();
    for invariant in missing {
        let progress =
            lines.entry(Invariant::I22).or_insert_with(|| Line::not_checked(Invariant::I22));
        progress.verdict = Standing::Broken;
        progress.breaches += 1;
        progress.examples.push(format!("{invariant} {} was not checked", invariant.name()));
    }
    lines
}

/// Broken if anyone found a breach; held if anyone looked and nobody found one.
fn merged(
    clients: &BTreeMap<Invariant, Verdict>,
    audit: &[AuditLine],
) -> BTreeMap<Invariant, Line> {
    let mut lines: BTreeMap<Invariant, Line> = BTreeMap::new();
    for (invariant, seen) in clients {
        let line = lines.entry(*invariant).or_insert_with(|| Line::not_checked(*invariant));
        if seen.checked > 0 || !seen.breaches.is_empty() {
            line.verdict = if seen.breaches.is_empty() { Standing::Held } else { Standing::Broken };
            line.by.push("clients");
        }
        line.checked = seen.checked;
        line.breaches = seen.breaches.len() as u64;
        line.examples.extend(seen.breaches.iter().take(EXAMPLES_MAX).cloned());
    }
    let named = audit.iter().filter_map(|seen| Some((Invariant::parse(&seen.invariant)?, seen)));
    for (invariant, seen) in named {
        let line = lines.entry(invariant).or_insert_with(|| Line::not_checked(invariant));
        match seen.verdict {
            AuditVerdict::NotChecked => continue,
            AuditVerdict::Held if line.verdict == Standing::Broken => {}
            AuditVerdict::Held => line.verdict = Standing::Held,
            AuditVerdict::Broken => {
                line.verdict = Standing::Broken;
                line.breaches += 1;
                line.examples.push(seen.detail.clone().unwrap_or_default());
            }
        }
        line.by.push("audit");
        line.checked += seen.checked;
    }
    lines
}

#[cfg(test)]
mod tests;
