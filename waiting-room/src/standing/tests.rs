//! Standings: which state wins, and what is answered with it.
use super::*;
use ledger::{AccountId, QueueSettings};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const POLL: [(Option<u64>, u64); 3] = [(Some(50), 2_000), (Some(2_000), 10_000), (None, 60_000)];

fn inputs(state: QueueState, sold_out: bool) -> StandingInputs<'static> {
    let settings = QueueSettings {
        state,
        rate_per_minute: 60,
        capacity: 10,
        claim_window_seconds: 30,
        return_seconds: 600,
        session_seconds: 100,
    };
    let opens_at = NOW.plus_seconds(90);
    let snapshot = QueueSnapshot {
        joined: 100_006,
        now_serving: 5,
        active: 10,
        ends: [NOW.plus_seconds(100); 9],
        ..QueueSnapshot::empty(settings, 1)
    };
    StandingInputs { snapshot, opens_at, sold_out, slow: false, poll: &POLL, now: NOW }
}

fn admitted() -> PlaceStatus {
    let account = AccountId::parse("a").unwrap();
    PlaceStatus::Admitted { account, at: NOW, until: NOW.plus_millis(59_001), committed: true }
}

const READY: PlaceStatus = PlaceStatus::Ready { left_millis: 29_001 };
const BACK: PlaceStatus = PlaceStatus::Returning { left_millis: Some(1) };

#[test]
fn states_in_their_order_of_precedence() {
    use PlaceState as S;
    use QueueState::{Closed, Open, Paused, PreQueue};
    let table = [
        (Closed, true, admitted(), S::Admitted),
        (Closed, true, PlaceStatus::Done, S::Done),
        (Closed, true, PlaceStatus::Missed, S::Closed),
        (Closed, true, READY, S::Closed),
        (Open, true, PlaceStatus::Missed, S::Missed),
        (Open, true, READY, S::SoldOut),
        (Paused, true, PlaceStatus::Waiting, S::SoldOut),
        (PreQueue, true, PlaceStatus::Waiting, S::SoldOut),
        (PreQueue, false, PlaceStatus::Waiting, S::PreQueue),
        (PreQueue, false, READY, S::PreQueue),
        (Paused, false, READY, S::Ready),
        (Paused, false, PlaceStatus::Waiting, S::Waiting),
        (Open, false, PlaceStatus::Waiting, S::Waiting),
        (Open, false, READY, S::Ready),
        (Open, false, BACK, S::Returning),
    ];
    for (state, sold_out, place, expected) in table {
        let standing = inputs(state, sold_out).standing(9, Some(9), &place);
        assert_eq!(standing.state, expected, "{state:?} {sold_out} {place:?}");
        assert_eq!(standing.paused, state == Paused);
    }
}

#[test]
fn deadlines_are_told_in_seconds_rounded_up() {
    let answer = |place: &PlaceStatus| {
        let answer = inputs(QueueState::Open, false).standing(9, Some(5), place);
        (answer.ready_expires_in, answer.return_expires_in, answer.session_expires_in, answer.ahead)
    };
    assert_eq!(answer(&READY), (Some(30), Some(630), None, Some(0)));
    assert_eq!(answer(&BACK), (None, Some(1), None, Some(0)));
    assert_eq!(answer(&PlaceStatus::Returning { left_millis: None }), (None, None, None, Some(0)));
    assert_eq!(answer(&admitted()), (None, None, Some(60), Some(0)));
    let closed = inputs(QueueState::Closed, false).standing(9, Some(5), &READY);
    assert_eq!((closed.ready_expires_in, closed.return_expires_in), (None, None));
}

#[test]
fn distance_eta_and_poll_interval_of_those_who_wait() {
    let answer = |state, number| {
        let answer = inputs(state, false).standing(number, Some(number), &PlaceStatus::Waiting);
        (
            answer.ahead.unwrap(),
            answer.eta_seconds.map(|eta| (eta.min, eta.max)),
            answer.poll_after_ms,
        )
    };
    assert_eq!(answer(QueueState::Open, 6), (0, Some((10, 100)), 1_000));
    assert_eq!(answer(QueueState::Open, 56), (50, Some((314, 750)), 2_000));
    assert_eq!(answer(QueueState::Open, 57), (51, Some((320, 750)), 10_000));
    assert_eq!(answer(QueueState::PreQueue, 6), (0, Some((100, 190)), 2_000));
    assert_eq!(answer(QueueState::Paused, 6), (0, None, 1_000));
    let undrawn = inputs(QueueState::PreQueue, false).standing(9, None, &PlaceStatus::Waiting);
    assert_eq!((undrawn.ahead, undrawn.eta_seconds, undrawn.poll_after_ms), (None, None, 60_000));
}

#[test]
fn whoever_gave_up_is_not_ahead_any_more() {
    let mut inputs = inputs(QueueState::Open, false);
    (inputs.snapshot.left_waiting, inputs.snapshot.left_ahead) = (12, 8);
    assert_eq!(inputs.standing(15, Some(15), &PlaceStatus::Waiting).ahead, Some(1));
}

#[test]
fn whoever_waits_has_as_many_ahead_as_the_public_status_says() {
    use QueueState::{Closed, Open, Paused, PreQueue};
    for state in [Open, Paused, PreQueue, Closed] {
        for (sold_out, number) in [(false, 6), (true, 6), (false, 144), (true, 144)] {
            let standing =
                inputs(state, sold_out).standing(number, Some(number), &PlaceStatus::Waiting);
            assert_eq!(standing.now_serving, 5);
            assert_eq!(standing.ahead, Some(number - 6), "{state:?} {sold_out}");
        }
    }
}

#[test]
fn nobody_looks_later_than_the_least_wait_nor_half_the_window_once_a_call_can_come() {
    use QueueState::{Open, Paused, PreQueue};
    for state in [Open, PreQueue, Paused] {
        for (opens_in, window, rate) in [(14, 30, 60_000), (600, 20, 600), (90, 2, 6)] {
            let mut inputs = inputs(state, false);
            inputs.opens_at = NOW.plus_seconds(opens_in);
            inputs.snapshot.settings.claim_window_seconds = window;
            inputs.snapshot.settings.rate_per_minute = rate;
            inputs.snapshot.settings.capacity = 10_000;
            for number in [6, 50, 300, 2_006, 3_000, 20_000, 100_006] {
                let told = inputs.standing(number, Some(number), &PlaceStatus::Waiting);
                let what = format!("{state:?} {opens_in} {window} {rate}: {told:?}");
                let least = told.eta_seconds.map_or(0, |eta| eta.min * 1_000);
                let half = u64::from(window) * 500;
                let latest = if state == Paused { half.max(60_000) } else { least.max(1_000) };
                assert!(told.poll_after_ms <= latest, "{what}");
                assert!(told.poll_after_ms <= half || told.poll_after_ms <= latest, "{what}");
            }
        }
    }
}

#[test]
fn a_pre_queue_that_nobody_set_a_time_for_tells_no_wait() {
    let mut inputs = inputs(QueueState::PreQueue, false);
    inputs.opens_at = NOW.plus_millis(-1);
    let told = inputs.standing(6, Some(6), &PlaceStatus::Waiting);
    assert_eq!((told.eta_seconds, told.poll_after_ms), (None, 1_000), "it may open any moment");
    inputs.snapshot.settings.state = QueueState::Open;
    inputs.slow = true;
    assert_eq!(inputs.standing(6, Some(6), &PlaceStatus::Waiting).eta_seconds, None);
}

#[test]
fn whoever_was_refused_is_told_when_to_ask_again() {
    let told = |place, after| {
        let standing = inputs(QueueState::Open, false).standing(9, Some(5), &place);
        standing.asked_again_after(after).poll_after_ms
    };
    assert_eq!(told(READY, Some(7_300)), 7_300);
    assert_eq!(told(BACK, Some(7_300)), 7_300);
    assert_eq!(told(READY, None), 2_000);
    let mut sold_out = inputs(QueueState::Open, true).standing(9, Some(5), &READY);
    sold_out = sold_out.asked_again_after(Some(7_300));
    assert_eq!(sold_out.poll_after_ms, 60_000);
}
