//! The verdicts that need no look into the stores: what clients saw must fit together.
use crate::history::{End, History};
use crate::people::{Persona, Plan};
use crate::scenario::Scenario;
use crate::verdict::Verdict;
use ledger::audit::Invariant;
use std::collections::{BTreeMap, HashMap, HashSet};

/// All that the histories say, by invariant.
pub(crate) fn judge(
    scenario: &Scenario,
    plans: &[Plan],
    histories: &[History],
    one_node: bool,
) -> BTreeMap<Invariant, Verdict> {
    let mut verdicts = BTreeMap::from([
        (Invariant::I1, one_owner(histories)),
        (Invariant::I4, bookings_end(histories)),
        (Invariant::I7, same_key_same_answer(histories)),
        (Invariant::I8, kept_promises(histories)),
        (Invariant::I9, fair_order(histories, one_node)),
        (Invariant::I12, Verdict::default()),
        (Invariant::I17, exclusive_holds(histories)),
        (Invariant::I22, progress(scenario, plans, histories)),
    ]);
    for sample in histories.iter().flat_map(|history| &history.samples) {
        let verdict = verdicts.entry(sample.invariant).or_default();
        verdict.checked += 1;
        if sample.got != sample.expected {
            let (question, expected, got) = (sample.question, sample.expected, &sample.got);
            verdict.breach(format!("{question}: {got} instead of {expected}"));
        }
    }
    verdicts
}

/// Seats that more than one confirmed booking has.
pub(crate) fn oversold(histories: &[History]) -> u64 {
    one_owner(histories).breaches.len() as u64
}

/// I1: no seat is confirmed for two bookings.
fn one_owner(histories: &[History]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut owners: HashMap<&str, u32> = HashMap::new();
    for history in histories {
        for seat in history.confirmed_seats() {
            verdict.checked += 1;
            if let Some(other) = owners.insert(seat, history.person) {
                let person = history.person;
                verdict.breach(format!("seat {seat} confirmed for people {other} and {person}"));
            }
        }
    }
    verdict
}

/// I4: every accepted booking reaches an end.
fn bookings_end(histories: &[History]) -> Verdict {
    let mut verdict = Verdict::default();
    for booking in histories.iter().flat_map(|history| &history.bookings) {
        verdict.checked += 1;
        if matches!(booking.status.as_str(), "processing" | "refund_pending") {
            verdict.breach(format!("booking {} is still {}", booking.booking, booking.status));
        }
    }
    verdict
}

/// I7: the same person's same key has one answer.
fn same_key_same_answer(histories: &[History]) -> Verdict {
    let mut verdict = Verdict::default();
    for history in histories {
        let mut answers: HashMap<&str, &str> = HashMap::new();
        for keyed in &history.keyed {
            verdict.checked += 1;
            let first = *answers.entry(&keyed.key).or_insert(&keyed.answer);
            if first != keyed.answer {
                verdict.breach(format!("key {}: {first} and {}", keyed.key, keyed.answer));
            }
        }
    }
    verdict
}

/// I8: the place that a join gave stays, a new attempt after a decline is a new booking, and a
/// confirmed booking has a ticket for each seat of the hold it was made from.
fn kept_promises(histories: &[History]) -> Verdict {
    let mut verdict = Verdict::default();
    for history in histories {
        if let Some(joined) = &history.joined {
            let place = (joined.entry, joined.number);
            for seen in &history.sightings {
                verdict.checked += 1;
                if (seen.entry, seen.number) != place && joined.number.is_some() {
                    verdict.breach(format!("person {}: {place:?} became {seen:?}", history.person));
                }
            }
        }
        let mut ids = HashSet::new();
        for booking in history.bookings.iter().filter(|booking| !ids.insert(&booking.booking)) {
            verdict.breach(format!("booking {}: a new attempt got the old one", booking.booking));
        }
        for booking in history.bookings.iter().filter(|b| b.status == "confirmed") {
            verdict.checked += 1;
            let held = history.holds.iter().any(|hold| same_seats(&hold.seats, &booking.seats));
            if !held || booking.tickets != booking.seats.len() || booking.seats.is_empty() {
                let (id, tickets, seats) = (&booking.booking, booking.tickets, &booking.seats);
                verdict.breach(format!("booking {id}: {tickets} tickets for {seats:?}"));
            }
        }
    }
    verdict
}

fn same_seats(one: &[String], other: &[String]) -> bool {
    let (one, other): (HashSet<_>, HashSet<_>) = (one.iter().collect(), other.iter().collect());
    one == other
}

/// I9: entries and numbers are given once, nobody is moved back, and on one node who was
/// acknowledged before another asked is before that other.
fn fair_order(histories: &[History], one_node: bool) -> Verdict {
    let mut verdict = Verdict::default();
    let (mut entries, mut numbers) = (HashSet::new(), HashSet::new());
    for history in histories {
        let Some(joined) = &history.joined else { continue };
        verdict.checked += 1;
        if !entries.insert(joined.entry) {
            verdict.breach(format!("entry {} was given twice", joined.entry));
        }
        if joined.number.is_some_and(|number| !numbers.insert(number)) {
            verdict.breach(format!("number {:?} was given twice", joined.number));
        }
        let mut least = u64::MAX;
        for seen in &history.sightings {
            let Some(ahead) = seen.ahead else { continue };
            least = least.min(seen.at_most.unwrap_or(u64::MAX));
            // Nodes hear of a step one after the other, and each says what it knows.
            if ahead > least && one_node {
                let person = history.person;
                verdict.breach(format!("person {person}: {least} ahead grew to {ahead}"));
            }
            least = least.min(ahead);
        }
    }
    if one_node {
        order_of_arrival(histories, &mut verdict);
    }
    verdict
}

fn order_of_arrival(histories: &[History], verdict: &mut Verdict) {
    let numbered = histories.iter().filter_map(|history| {
        let joined = history.joined.as_ref()?;
        Some((joined.started, joined.ended, joined.number?))
    });
    let mut by_start: Vec<_> = numbered.collect();
    let mut by_end = by_start.clone();
    by_start.sort_unstable_by_key(|join| join.0);
    by_end.sort_unstable_by_key(|join| join.1);
    let mut acknowledged = by_end.into_iter().peekable();
    let mut greatest = 0;
    for (started, _, number) in by_start {
        while let Some((_, _, earlier)) = acknowledged.next_if(|join| join.1 < started) {
            greatest = greatest.max(earlier);
        }
        if number < greatest {
            verdict.breach(format!("number {number} was given after {greatest}"));
        }
    }
}

/// I17: no seat is held for somebody while another's hold on it certainly lives.
fn exclusive_holds(histories: &[History]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut by_seat: HashMap<&str, Vec<(u64, u64, &str)>> = HashMap::new();
    for hold in histories.iter().flat_map(|history| &history.holds) {
        verdict.checked += 1;
        for seat in &hold.seats {
            by_seat.entry(seat).or_default().push((hold.from, hold.until, &hold.hold));
        }
    }
    for (seat, mut holds) in by_seat {
        holds.sort_unstable();
        for pair in holds.windows(2) {
            let ((_, until, first), (from, _, second)) = (pair[0], pair[1]);
            if from < until && first != second {
                verdict.breach(format!("seat {seat}: {second} held while {first} lived"));
            }
        }
    }
    verdict
}

/// I22: a run that keeps its promises because nothing happened has failed.
fn progress(scenario: &Scenario, plans: &[Plan], histories: &[History]) -> Verdict {
    let sold = histories.iter().flat_map(History::confirmed_seats).count() as u64;
    let must = must_sell(scenario, plans);
    let mut verdict = Verdict { checked: sold, ..Verdict::default() };
    if sold < must {
        verdict.breach(format!("{sold} seats sold, at least {must} must be"));
    }
    let admitted = |wanted: Persona| {
        let mut pairs = plans.iter().zip(histories);
        pairs.any(|(plan, history)| plan.persona == wanted && !history.holds.is_empty())
    };
    let ended = |status: &str| {
        histories.iter().flat_map(|history| &history.bookings).any(|b| b.status == status)
    };
    if admitted(Persona::Decliner) && !ended("declined") {
        verdict.breach("nobody's payment was declined".to_owned());
    }
    if must > 0 && !ended("confirmed") {
        verdict.breach("nobody's booking was confirmed".to_owned());
    }
    if admitted(Persona::Canceller) && ended("confirmed") && !ended("refunded") {
        verdict.breach("nobody gave tickets back".to_owned());
    }
    let left = histories.iter().any(|history| history.end == End::Left);
    if plans.iter().any(|plan| plan.persona == Persona::LeavesLine) && !left {
        verdict.breach("nobody left the line".to_owned());
    }
    verdict
}

/// What a run like this must have looked at: an invariant that met nothing has not been kept.
pub(crate) fn required(
    scenario: &Scenario,
    plans: &[Plan],
    histories: &[History],
    sampled: bool,
) -> Vec<Invariant> {
    use Invariant::*;
    let mut required = vec![I8, I9, I21, I22];
    if must_sell(scenario, plans) > 0 {
        required.extend([I1, I2, I3, I4, I5, I6, I7, I10, I11, I13, I14, I15, I17, I18]);
    }
    if sampled {
        required.push(I20);
    }
    let admitted = |wanted: Persona| {
        let mut pairs = plans.iter().zip(histories);
        pairs.any(|(plan, history)| plan.persona == wanted && history.admitted)
    };
    if admitted(Persona::Sharer) {
        required.push(I12);
    }
    if histories.iter().any(|history| history.end == End::Refunded) {
        required.push(I19);
    }
    required
}

/// Where there are more than enough who pay, nearly everything must be sold; the last few seats
/// may be in the hands of those who left last. Otherwise most of what they want.
pub(crate) fn must_sell(scenario: &Scenario, plans: &[Plan]) -> u64 {
    let buyers = plans.iter().filter(|plan| plan.persona.buys());
    let wanted: u64 = buyers.map(|plan| u64::from(plan.quantity)).sum();
    let seats = u64::from(scenario.seats);
    let due = if wanted >= seats * 3 / 2 { seats - seats / 50 } else { wanted.min(seats) / 2 };
    if scenario.disturbed { due / 2 } else { due }
}

#[cfg(test)]
mod tests;
