//! Standings: which state wins, and what is answered with it.
use super::*;
use ledger::AccountId;

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
    StandingInputs {
        settings,
        opens_at,
        now_serving: 5,
        active: 10,
        sold_out,
        poll: &POLL,
        now: NOW,
    }
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
    assert_eq!(answer(QueueState::Open, 6), (0, Some((0, 10)), 2_000));
    assert_eq!(answer(QueueState::Open, 56), (50, Some((50, 510)), 2_000));
    assert_eq!(answer(QueueState::Open, 57), (51, Some((51, 520)), 10_000));
    assert_eq!(answer(QueueState::Open, 100_006), (100_000, Some((100_000, 1_000_010)), 60_000));
    assert_eq!(answer(QueueState::PreQueue, 6), (0, Some((90, 100)), 2_000));
    assert_eq!(answer(QueueState::Paused, 6), (0, None, 2_000));
    let undrawn = inputs(QueueState::PreQueue, false).standing(9, None, &PlaceStatus::Waiting);
    assert_eq!((undrawn.ahead, undrawn.eta_seconds, undrawn.poll_after_ms), (None, None, 60_000));
}

#[test]
fn with_free_slots_the_rate_alone_counts() {
    let mut inputs = inputs(QueueState::Open, false);
    inputs.active = 0;
    assert_eq!(inputs.eta(9), Some(Eta { min: 9, max: 9 }));
    assert_eq!(inputs.eta(10), Some(Eta { min: 10, max: 10 }));
    inputs.settings.rate_per_minute = 0;
    assert_eq!(inputs.eta(0), None);
}
