//! Tables: when whoever waits looks again.
use super::*;
use ledger::QueueSettings;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const POLL: [(Option<u64>, u64); 3] = [(Some(50), 2_000), (Some(2_000), 10_000), (None, 60_000)];
const WINDOW: u64 = 20_000;

/// A crowd of which nobody was called yet.
fn snapshot(rate_per_minute: u32) -> QueueSnapshot {
    let settings = QueueSettings { rate_per_minute, ..QueueSettings::default() };
    QueueSnapshot { joined: 100_000, ..QueueSnapshot::empty(settings, 1) }
}

fn pace(snapshot: &QueueSnapshot) -> Pace {
    Pace::of(snapshot, NOW.plus_seconds(14), NOW).unwrap()
}

#[test]
fn the_soonest_call_follows_rate_no_shows_and_places_given_up() {
    let slow = snapshot(60);
    let fast = snapshot(18_000);
    let half_come = QueueSnapshot { showing_permille: 500, ..fast };
    let half_left = QueueSnapshot { left_waiting: 50_000, ..fast };
    let mut later = fast;
    later.settings.state = QueueState::PreQueue;
    let mut paused = fast;
    paused.settings.state = QueueState::Paused;
    for (case, snapshot, ahead, millis) in [
        ("next", slow, 0, 0),
        ("a second each", slow, 1, 1_000),
        ("far", slow, 50, 50_000),
        ("in the first burst", fast, 299, 0),
        ("after it", fast, 599, 1_000),
        ("very far", fast, 82_907, 275_360),
        ("twice as many are called where half come", half_come, 599, 0),
        ("and farther on", half_come, 1_199, 1_000),
        ("numbers that left are passed for nothing", half_left, 1_199, 1_000),
        ("nobody before the opening", later, 0, 14_000),
        ("nor faster than the rate after it", later, 599, 15_000),
        ("a pause may end at any moment", paused, 299, 0),
    ] {
        assert_eq!(pace(&snapshot).soonest_millis(ahead), millis, "{case}");
    }
    assert_eq!(Pace::of(&snapshot(0), NOW, NOW), None, "nobody is called at rate 0");
}

#[test]
fn nobody_looks_later_than_a_call_can_come() {
    for (case, row, soonest, window, after) in [
        ("far away", 60_000, 300_000, WINDOW, 60_000),
        ("before the call", 60_000, 14_000, 30_000, 14_000),
        ("any moment", 60_000, 0, 30_000, 1_000),
        ("the table says sooner", 500, 0, 30_000, 500),
        ("a short window", 60_000, 0, 1_000, 500),
        ("no window", 60_000, 0, 0, 1),
    ] {
        assert_eq!(look_after_millis(row, soonest, window), after, "{case}");
    }
}

#[test]
fn the_public_table_is_never_later_than_a_call_and_never_far_from_it() {
    for rate in [1, 60, 600, 18_000, 60_000, 6_000_000] {
        let pace = pace(&snapshot(rate));
        let table = poll_table(&POLL, Some(&pace), WINDOW);
        assert!(table.len() <= 12, "{rate}: {table:?}");
        assert!(table.is_sorted_by_key(|row| row.0.unwrap_or(u64::MAX)), "{rate}: {table:?}");
        for ahead in (0..3_000).chain((3_000..600_000).step_by(97)) {
            let exact =
                look_after_millis(row_millis(&POLL, ahead), pace.soonest_millis(ahead), WINDOW);
            let told = row_millis(&table, ahead);
            assert!(told <= exact, "{rate}, {ahead} ahead: {told} is later than {exact}");
            assert!(told * 2 > exact.min(32_000), "{rate}, {ahead} ahead: {told} for {exact}");
        }
    }
    assert_eq!(poll_table(&POLL, None, WINDOW), POLL);
}

#[test]
fn a_table_of_a_large_sale() {
    let table = poll_table(&POLL, Some(&pace(&snapshot(18_000))), WINDOW);
    assert_eq!(
        table,
        [
            (Some(898), 1_000),
            (Some(1_498), 2_000),
            (Some(2_698), 4_000),
            (Some(5_098), 8_000),
            (Some(9_898), 16_000),
            (Some(19_498), 32_000),
            (None, 60_000),
        ]
    );
    // Half of a million who wait look once a minute.
    let near: f64 = (0..19_498).map(|ahead| 1_000.0 / row_millis(&table, ahead) as f64).sum();
    assert!(near < 4_000.0, "{near} looks a second");
}
