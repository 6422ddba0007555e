//! Tables of waits, and a sale played through to see what came true.
use super::*;
use crate::store::ENDS_SHOWN;
use ledger::QueueSettings;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn shop(capacity: u32, session_seconds: u32, ends: &[i64]) -> QueueSnapshot {
    let mut ends = ends.to_vec();
    ends.sort_unstable();
    let active = ends.len() as u64;
    let shown = |nth| {
        let rank = usize::try_from(end_shown(nth, active)).unwrap();
        ends.get(rank).map_or(Timestamp::default(), |seconds| NOW.plus_millis(seconds * 1_000))
    };
    let settings = QueueSettings { capacity, session_seconds, ..QueueSettings::default() };
    QueueSnapshot {
        joined: 1_000_000,
        active,
        ends: std::array::from_fn::<_, ENDS_SHOWN, _>(shown),
        ..QueueSnapshot::empty(settings, 1)
    }
}

fn told(snapshot: &QueueSnapshot, ahead: u64) -> Option<(u64, u64)> {
    eta(snapshot, NOW, NOW, ahead).map(|eta| (eta.min, eta.max))
}

#[test]
fn waits_follow_from_slots_that_run_and_from_people_called() {
    let five = shop(5, 30, &[30; 5]);
    let soon = shop(5, 30, &[2; 5]);
    let hundred = shop(100, 30, &[5; 100]);
    let mixed = shop(5, 60, &[10, 20, 30, 40, 50]);
    let called = QueueSnapshot { called: 5, ..shop(5, 30, &[]) };
    let half = QueueSnapshot { showing_permille: 500, called: 4, ..shop(5, 30, &[30; 3]) };
    let free = shop(10, 30, &[]);
    for (case, snapshot, ahead, min, max) in [
        ("five slots end together: the first", five, 0, 3, 30),
        ("and the last, not 6 s apart", five, 4, 12, 30),
        ("the next after a whole session more, and a late claim", five, 5, 16, 90),
        ("when they are nearly over", soon, 4, 0, 2),
        ("a hundred, after 25 of 30 s", hundred, 0, 0, 5),
        ("each end is known", mixed, 2, 10, 30),
        ("people called have the rooms", called, 0, 3, 60),
        ("half of them come", half, 0, 3, 30),
        ("rooms are free", free, 9, 0, 1),
    ] {
        assert_eq!(told(&snapshot, ahead), Some((min, max)), "{case}");
    }
}

#[test]
fn where_nobody_knows_nothing_is_told() {
    let mut snapshot = shop(5, 30, &[]);
    for state in [QueueState::PreQueue, QueueState::Paused, QueueState::Closed] {
        snapshot.settings.state = state;
        assert_eq!(told(&snapshot, 3), None, "{state:?}");
    }
    snapshot.settings.state = QueueState::PreQueue;
    let later = eta(&snapshot, NOW.plus_seconds(90), NOW, 3).unwrap();
    assert_eq!((later.min, later.max), (90, 91));
    snapshot.settings.state = QueueState::Open;
    for nobody in [
        QueueSettings { rate_per_minute: 0, ..snapshot.settings },
        QueueSettings { capacity: 0, ..snapshot.settings },
    ] {
        assert_eq!(told(&QueueSnapshot { settings: nobody, ..snapshot }, 3), None);
    }
}

#[test]
fn the_rate_is_all_that_counts_where_rooms_are_plenty() {
    let mut snapshot = shop(100_000, 600, &[]);
    snapshot.settings.rate_per_minute = 18_000;
    for (ahead, min, max) in [(0, 0, 1), (299, 0, 1), (3_299, 10, 13), (30_299, 100, 121)] {
        assert_eq!(told(&snapshot, ahead), Some((min, max)), "{ahead} ahead");
    }
}

/// A shop of so many, whose visitors stay as `stay` says; whoever waits is told at the start and
/// called when a room is free.
fn play(capacity: u64, stay: impl Fn(u64) -> i64, waiting: u64) -> (f64, f64) {
    const SESSION: i64 = 600;
    // How long people still stay does not depend on how long they have been inside.
    let mut rooms: Vec<i64> = (0..capacity).map(|n| stay(n + 7_919)).collect();
    let ends: Vec<i64> = (0..capacity).map(|n| SESSION - (n as i64 * 7) % 90).collect();
    let stayed: i64 = (0..200).map(&stay).sum();
    let snapshot = QueueSnapshot {
        early_ends: 200,
        slot_millis: stayed.unsigned_abs() * 1_000,
        ..shop(u32::try_from(capacity).unwrap(), 600, &ends)
    };
    let (mut inside, mut widths) = (0.0, Vec::new());
    for ahead in 0..waiting {
        rooms.sort_unstable();
        let called = rooms[0];
        rooms[0] += stay(capacity + ahead);
        let (least, most) = told(&snapshot, ahead).unwrap();
        let wait = u64::try_from(called).unwrap();
        inside += f64::from(u8::from((least..=most).contains(&wait)));
        widths.push((most - least) as f64 / (wait as f64).max(1.0));
    }
    widths.sort_by(f64::total_cmp);
    (inside / waiting as f64, widths[widths.len() / 2])
}

#[test]
fn nine_waits_of_ten_are_as_told_and_the_range_is_no_wider_than_the_wait() {
    // Spread as people are: most are done soon, some take long.
    let spread = |mean: i64| {
        move |n: u64| {
            let share = ((n * 2_654_435_761) % 1_000) as f64 / 1_000.0;
            ((-(1.0 - share).ln()) * mean as f64) as i64 + 1
        }
    };
    for (capacity, mean, waiting) in [(50, 20, 400), (500, 30, 3_000), (200, 60, 1_000)] {
        let (inside, width) = play(capacity, spread(mean), waiting);
        assert!(inside >= 0.9, "{capacity} rooms: {inside} of the waits are inside");
        assert!(width <= 1.0, "{capacity} rooms: {width} wide");
    }
}
