//! What one fault came to, as a row for people and for machines.
use super::inject::Injected;
use super::matrix::Fault;
use crate::report::{Report, Standing};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// Things that went wrong which are written out under a row.
const EXAMPLES_MAX: usize = 12;
/// The longest a refusal may take. Most come at once; a booking that was on its way to Kafka when
/// the broker died is answered after `ledger.kafka.delivery_timeout_ms`, 10 s.
const REFUSED_WITHIN: Duration = Duration::from_secs(12);

#[derive(Debug, Serialize)]
pub(super) struct Row {
    fault: Fault,
    injected: u64,
    what: String,
    recovered_seconds: Option<f64>,
    slowest_refusal_seconds: f64,
    /// What must not be.
    broken: Vec<String>,
    report: Option<Report>,
}

pub(super) fn heading() -> String {
    format!(
        "{:<23}{:<46}{:>8}{:>9}{:>6}{:>11}{:>11}  invariants\n",
        "fault", "injected", "refused", "slowest", "lost", "sold", "recovered"
    )
}

impl Row {
    pub(super) fn new(
        fault: Fault,
        injected: anyhow::Result<Injected>,
        recovered: Option<Duration>,
        slowest_refusal: Duration,
        report: Report,
        stopped: anyhow::Result<()>,
    ) -> Self {
        let mut broken = report.wrongs();
        let injected = injected.unwrap_or_else(|error| {
            broken.push(format!("the fault: {error:#}"));
            Injected { count: 0, what: "failed".to_owned() }
        });
        if injected.count == 0 {
            broken.push("I22 the fault was never injected".to_owned());
        }
        if recovered.is_none() {
            broken.push("I22 nothing was sold after the fault".to_owned());
        }
        if slowest_refusal > REFUSED_WITHIN {
            broken.push(format!("a refusal took {:.1} s", slowest_refusal.as_secs_f64()));
        }
        if let Err(error) = stopped {
            broken.push(format!("the end: {error:#}"));
        }
        Self {
            fault,
            injected: injected.count,
            what: injected.what,
            recovered_seconds: recovered.map(|after| after.as_secs_f64()),
            slowest_refusal_seconds: slowest_refusal.as_secs_f64(),
            broken,
            report: Some(report),
        }
    }

    /// A run that could not be judged.
    pub(super) fn failed(fault: Fault, why: String) -> Self {
        Self {
            fault,
            injected: 0,
            what: "failed".to_owned(),
            recovered_seconds: None,
            slowest_refusal_seconds: 0.0,
            broken: vec![why],
            report: None,
        }
    }

    pub(super) fn passed(&self) -> bool {
        self.broken.is_empty()
    }

    pub(super) fn text(&self) -> String {
        let injected = format!("{} × {}", self.injected, self.what);
        let recovered = self.recovered_seconds;
        let recovered = recovered.map_or("never".to_owned(), |after| format!("{after:.1} s"));
        let slowest = format!("{:.1} s", self.slowest_refusal_seconds);
        let (mut refused, mut lost, mut sold) = (0, 0, String::new());
        let mut invariants = "not judged".to_owned();
        if let Some(report) = &self.report {
            (refused, lost) = (report.sheds, report.lost);
            sold = format!("{}/{}", report.seats_sold, report.seats);
            let count = |standing| {
                report.invariants.values().filter(|line| line.verdict == standing).count()
            };
            let counts = [
                (count(Standing::Held), "held"),
                (count(Standing::Broken), "BROKEN"),
                (count(Standing::NotChecked), "not checked"),
            ];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts = counts.map(|(count, standing)| format!("{count} {standing}"));
            invariants = counts.collect::<Vec<_>>().join(", ");
        }
        let name = self.fault.name();
        let mut text = format!(
            "{name:<23}{injected:<46}{refused:>8}{slowest:>9}{lost:>6}{sold:>11}{recovered:>11}  \
             {invariants}\n"
        );
        for broken in self.broken.iter().take(EXAMPLES_MAX) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    {broken}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_could_not_be_judged_has_not_passed() {
        let row = Row::failed(Fault::Poison, "no stack".to_owned());
        assert!(!row.passed());
        let text = row.text();
        assert!(text.starts_with("poison ") && text.contains("never"), "{text}");
        assert!(text.ends_with("not judged\n    no stack\n"), "{text}");
    }
}
