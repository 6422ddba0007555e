//! Numbers, rates and capacities: histories that hold, and such that do not.
use super::sale::queue;
use crate::audit::queues::{numbers_are_given_once, the_capacity_holds, the_rate_holds};
use crate::audit::record::{QueueHistory, Record};
use crate::audit::{Finding, Verdict};
use crate::books::LimitsChange;
use crate::clock::Timestamp;
use crate::event::QueueSettings;

fn record(queue: QueueHistory) -> Record {
    Record { queues: vec![queue], ..Record::default() }
}

fn check(name: &str, finding: &Finding, holds: bool) {
    assert_eq!(finding.verdict == Verdict::Held, holds, "{name}: {finding}");
}

#[test]
fn numbers_are_leased_and_admitted_once() {
    type Spoil = fn(&mut QueueHistory);
    let spoil: [(&str, Spoil, bool); 6] = [
        ("sound", |_| {}, true),
        ("never leased", |q| q.record.leased_to = 2, false),
        ("number 0", |q| q.admissions[0].slot.number = 0, false),
        ("given twice", |q| q.admissions[0].slot.number = 2, false),
        ("called beyond the leases", |q| q.record.now_serving = 1_001, false),
        ("leased beyond the mark", |q| q.record.lease_start = 1_001, false),
    ];
    for (name, spoil, holds) in spoil {
        let mut queue = queue(&[(1, 0, 1), (2, 0, 1), (3, 0, 1)]);
        spoil(&mut queue);
        check(name, &numbers_are_given_once(&record(queue)), holds);
    }
}

/// A queue whose rate changed (from, admissions a minute), with admissions at `times`.
fn paced(rates: &[(i64, u32)], times: impl IntoIterator<Item = i64>) -> Record {
    let times: Vec<(u64, i64, i64)> =
        times.into_iter().zip(1..).map(|(at, number)| (number, at, at + 1)).collect();
    let mut queue = queue(&times);
    queue.limits = rates
        .iter()
        .map(|(at, rate_per_minute)| LimitsChange {
            at: Timestamp::from_millis(*at),
            settings: QueueSettings { rate_per_minute: *rate_per_minute, ..Default::default() },
        })
        .collect();
    record(queue)
}

#[test]
fn a_constant_rate_allows_its_pace_and_one_burst() {
    // Ten a second: a burst of ten, and one every 100 ms from then on.
    let pace = |burst: usize, gap: i64| {
        std::iter::repeat_n(5_000, burst).chain((1..200).map(move |n| 5_000 + n * gap))
    };
    let table = [
        ("on pace", pace(1, 100), true),
        ("a burst, then on pace", pace(10, 100), true),
        ("a burst too many", pace(14, 100), false),
        ("a little too fast for long", pace(1, 50), false),
        ("a little too fast after a burst", pace(10, 90), false),
        ("slower", pace(10, 200), true),
    ];
    for (name, times, holds) in table {
        check(name, &the_rate_holds(&paced(&[(0, 600)], times)), holds);
    }
    let slow = |times: &[i64]| the_rate_holds(&paced(&[(0, 6)], times.iter().copied()));
    check("one at a time", &slow(&[0, 10_000, 20_000]), true);
    check("two at a time", &slow(&[0, 10, 20_000]), false);
    assert_eq!(slow(&[]).verdict, Verdict::NotChecked("nothing happened"));
}

#[test]
fn a_rate_counts_from_when_it_changed() {
    let raised = [(0, 60), (10_000, 6_000)];
    check("fast after", &the_rate_holds(&paced(&raised, (0..300).map(|n| 10_000 + n * 10))), true);
    check("fast before", &the_rate_holds(&paced(&raised, (0..300).map(|n| 5_000 + n * 10))), false);
    let lowered = [(0, 6_000), (10_000, 60)];
    check("fast before", &the_rate_holds(&paced(&lowered, (0..300).map(|n| n * 10))), true);
    check(
        "fast long after",
        &the_rate_holds(&paced(&lowered, (0..300).map(|n| 30_000 + n * 10))),
        false,
    );
}

#[test]
fn slots_are_given_while_there_is_room() {
    type Slots = &'static [(u64, i64, i64)];
    let table: [(&str, Slots, bool); 5] = [
        ("two at once", &[(1, 0, 900), (2, 100, 900)], true),
        ("three at once", &[(1, 0, 900), (2, 100, 900), (3, 200, 900)], false),
        ("one leaves as one comes", &[(1, 0, 200), (2, 100, 900), (3, 200, 900)], true),
        ("one comes too early", &[(1, 0, 201), (2, 100, 900), (3, 200, 900)], false),
        ("over by itself", &[(1, 0, i64::MAX), (2, 0, i64::MAX), (3, 600_000, 600_001)], true),
    ];
    for (name, admissions, holds) in table {
        check(name, &the_capacity_holds(&record(queue(admissions))), holds);
    }
}

#[test]
fn a_lowered_capacity_counts_for_those_who_come_later() {
    let history = |third_at: i64| {
        let mut queue = queue(&[(1, 0, 90_000), (2, 0, 90_000), (3, third_at, 90_000)]);
        let old = queue.limits[0];
        let wide = QueueSettings { capacity: 3, ..old.settings };
        let narrow = QueueSettings { capacity: 1, ..old.settings };
        let at = Timestamp::from_millis(20_000);
        queue.limits =
            vec![LimitsChange { settings: wide, ..old }, LimitsChange { at, settings: narrow }];
        record(queue)
    };
    check("before", &the_capacity_holds(&history(10_000)), true);
    check("as it changes", &the_capacity_holds(&history(20_000)), true);
    check("later", &the_capacity_holds(&history(30_000)), false);
}
