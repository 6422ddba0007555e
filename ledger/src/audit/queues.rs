//! Queues: numbers are given once (I9), as fast as the rate allows (I10), to as many as the
//! capacity allows (I11).
use super::finding::{Finding, Invariant};
use super::limits::Limit;
use super::record::{QueueHistory, Record};
use super::tally::Tally;
use crate::admission::Admission;
use crate::books::LimitsChange;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

/// The windows that admissions are counted in.
const WINDOWS_MILLIS: [i64; 3] = [100, 1_000, 10_000];

const MILLIS_PER_MINUTE: u64 = 60_000;

/// I9, as far as the record tells it: every number was leased, and admitted once.
pub(super) fn numbers_are_given_once(record: &Record) -> Finding {
    let mut tally = Tally::default();
    for QueueHistory { id, record, admissions, .. } in &record.queues {
        let mut seen = HashSet::new();
        for number in admissions.iter().map(|admission| admission.slot.number) {
            tally.look();
            tally.demand(seen.insert(number), || format!("{id} admitted {number} twice"));
            let leased = (1..=record.leased_to).contains(&number);
            tally.demand(leased, || format!("{id} admitted {number}, which was never leased"));
        }
        let (serving, mark) = (record.now_serving, record.leased_to);
        tally.demand(serving <= mark, || format!("{id} calls {serving}, leased are {mark}"));
        let start = record.lease_start;
        tally.demand(start <= mark, || format!("{id} leased from {start} up to {mark}"));
    }
    tally.finding(Invariant::I9, "numbers")
}

/// I10: in any window no more admissions than the rate gives, and one burst.
pub(super) fn the_rate_holds(record: &Record) -> Finding {
    let mut tally = Tally::default();
    for queue in &record.queues {
        let rate = limit(&queue.limits, |change| u64::from(change.settings.rate_per_minute));
        let mut times: Vec<i64> = queue.admissions.iter().map(|a| a.at.millis()).collect();
        times.sort_unstable();
        times.iter().for_each(|_| tally.look());
        for window in WINDOWS_MILLIS {
            check_window(queue, &rate, &times, window, &mut tally);
        }
    }
    tally.finding(Invariant::I10, "admissions")
}

/// Slides a window over the admissions, once starting and once ending at each of them.
fn check_window(queue: &QueueHistory, rate: &Limit, times: &[i64], window: i64, tally: &mut Tally) {
    let (mut low, mut high) = (0usize, 0usize);
    for (index, at) in times.iter().enumerate() {
        let (begin, end) = (at.saturating_sub(window), at.saturating_add(window));
        // Times are whole milliseconds: what lies between two may be one longer than it seems.
        while times.get(high).is_some_and(|time| *time < end) {
            high = high.saturating_add(1);
        }
        while times.get(low).is_some_and(|time| *time <= begin) {
            low = low.saturating_add(1);
        }
        let after = high.saturating_sub(index);
        let before = index.saturating_add(1).saturating_sub(low);
        let spans = [(after, *at, end), (before, begin.saturating_add(1), at.saturating_add(1))];
        for (count, from, to) in spans {
            let fits = allowed(rate, from, to) >= count as u64;
            tally.demand(fits, || {
                format!("{} admitted {count} within {window} ms of {at}", queue.id)
            });
            if !fits {
                // Its neighbours tell the same.
                return;
            }
        }
    }
}

/// The rate over the window, and the greater of the bursts in it: one second of the rate, or 1.
fn allowed(rate: &Limit, from: i64, to: i64) -> u64 {
    let burst = rate.greatest(from, to).saturating_mul(1_000).max(MILLIS_PER_MINUTE);
    // One millisecond more than counted: the window's ends are rounded down.
    let area = rate.area(from, to.saturating_add(1));
    area.saturating_add(burst).checked_div(MILLIS_PER_MINUTE).unwrap_or(0)
}

/// I11: whoever was admitted found a slot free.
pub(super) fn the_capacity_holds(record: &Record) -> Finding {
    let mut tally = Tally::default();
    for queue in &record.queues {
        let capacity = limit(&queue.limits, |change| u64::from(change.settings.capacity));
        let mut admissions: Vec<&Admission> = queue.admissions.iter().collect();
        admissions.sort_by_key(|admission| admission.at);
        let mut ends: BinaryHeap<Reverse<i64>> = BinaryHeap::new();
        for admission in admissions {
            tally.look();
            let at = admission.at.millis();
            while ends.peek().is_some_and(|Reverse(end)| *end <= at) {
                ends.pop();
            }
            let (active, room) = (ends.len() as u64, capacity.at(at));
            let number = admission.slot.number;
            tally.demand(active < room, || {
                format!("{} admitted {number} while {active} of {room} slots were taken", queue.id)
            });
            let ended = admission.ended_at.unwrap_or(admission.until).min(admission.until);
            ends.push(Reverse(ended.millis()));
        }
    }
    tally.finding(Invariant::I11, "admissions")
}

fn limit(changes: &[LimitsChange], of: impl Fn(&LimitsChange) -> u64) -> Limit {
    Limit::new(changes.iter().map(|change| (change.at.millis(), of(change))))
}
