//! Every step of a purchase: tables of what each does in each state, and what always holds.
use super::*;
use crate::conformance::sample::{NOW, named};
use crate::money::Currency;
use crate::transfer::{GATEWAY_CLEARING, TransferKind};
use proptest::prelude::*;

const LATER: Timestamp = NOW.plus_seconds(5);

fn command() -> PlaceBooking {
    named("hld_1")
}

fn new() -> Purchase {
    Purchase::opened(command(), NOW)
}

fn submitted() -> Purchase {
    new().submitted(NOW)
}

fn unknown() -> Purchase {
    Purchase { payment: PaymentState::Unknown, ..submitted() }
}

fn moved(step: Result<Option<Step>, Unbalanced>) -> Purchase {
    step.unwrap().expect("a step").purchase
}

fn confirmed() -> Purchase {
    moved(settle(submitted(), &captures(command().total), NOW))
}

fn refund_pending() -> Purchase {
    cancel(confirmed(), false, NOW).unwrap().purchase
}

fn captures(amount: Money) -> ChargeResult {
    ChargeResult::Captured { charge_id: "ch_1".into(), amount }
}

fn declines() -> ChargeResult {
    ChargeResult::Declined { code: "card_declined".into() }
}

/// One purchase of every status that a purchase can end in, or wait for its refund in.
fn over() -> Vec<Purchase> {
    let refuse = |status: BookingStatus| new().refused(status, "code", NOW).purchase;
    let declined = moved(settle(submitted(), &declines(), NOW));
    let refund = refund_pending().refunds[0].refund_id.clone();
    let refunded = moved(refunded(refund_pending(), &refund, NOW));
    let uncharged = [
        BookingStatus::SeatLost,
        BookingStatus::OverCap,
        BookingStatus::Expired,
        BookingStatus::Cancelled,
    ];
    let mut all: Vec<_> = uncharged.map(refuse).into();
    all.extend([declined, refund_pending(), refunded]);
    all
}

/// What a step came to: status, payment, claims, the refund or capture it moved, and whether
/// outsiders hear of it.
type Came = (BookingStatus, PaymentState, ClaimEffect, Option<TransferKind>, bool);

fn came(step: &Step) -> Came {
    let Step { purchase, claims, transfer, publish } = step;
    (purchase.status, purchase.payment, *claims, transfer.as_ref().map(|t| t.kind()), *publish)
}

#[test]
fn opening_looks_at_the_record_before_the_clock_and_the_places() {
    let deadline = command().deadline;
    let open = |known, now, availability: Option<SeatAvailability>| {
        open(known, &command(), now, || availability.expect("nobody may look at the places"))
    };
    let submit = |now| Opening::Submit(new_at(now).submitted(now));
    for now in [NOW, deadline] {
        assert_eq!(open(None, now, Some(SeatAvailability::Available)), submit(now));
    }
    assert_eq!(open(Some(new()), NOW, Some(SeatAvailability::Available)), submit(NOW));
    for (now, availability, status) in [
        (deadline.plus_millis(1), None, BookingStatus::Expired),
        (NOW, Some(SeatAvailability::Taken), BookingStatus::SeatLost),
        (NOW, Some(SeatAvailability::OverCap), BookingStatus::OverCap),
    ] {
        let Opening::Refuse(step) = open(None, now, availability) else { panic!("{status:?}") };
        let expected = (status, PaymentState::NotAttempted, ClaimEffect::Release, None, true);
        assert_eq!(came(&step), expected);
        assert_eq!(step.purchase.failure_code.as_deref(), Some(status.as_str()));
        assert_eq!(step.purchase.version, 2);
    }
    // Whatever the clock says, an attempt is resolved and an end stays an end.
    for now in [NOW, deadline.plus_millis(1)] {
        for known in [submitted(), unknown()] {
            assert_eq!(open(Some(known.clone()), now, None), Opening::Resolve(known));
        }
        for known in over().into_iter().chain([confirmed()]) {
            assert_eq!(open(Some(known.clone()), now, None), Opening::Over(known));
        }
    }
}

fn new_at(now: Timestamp) -> Purchase {
    Purchase::opened(command(), now)
}

#[test]
fn an_answer_of_the_gateway_is_taken_once() {
    use BookingStatus::{Cancelled, Confirmed, Declined, Processing, RefundPending};
    use PaymentState as P;
    let total = command().total;
    let other = Money::new(total.minor + 1, total.currency);
    let capture = Some(TransferKind::Capture);
    let cases: [(bool, ChargeResult, Came); 6] = [
        (false, captures(total), (Confirmed, P::Captured, ClaimEffect::Sell, capture, true)),
        (false, captures(other), (RefundPending, P::Captured, ClaimEffect::Release, capture, true)),
        (false, declines(), (Declined, P::Declined, ClaimEffect::Release, None, true)),
        (true, captures(total), (RefundPending, P::Captured, ClaimEffect::Release, capture, true)),
        (true, declines(), (Cancelled, P::Declined, ClaimEffect::Release, None, true)),
        (true, ChargeResult::Unknown, (Processing, P::Unknown, ClaimEffect::Keep, None, false)),
    ];
    for (cancel_requested, result, expected) in &cases {
        let before = Purchase { cancel_requested: *cancel_requested, ..submitted() };
        let step = settle(before, result, LATER).unwrap().expect("a step");
        assert_eq!(came(&step), *expected, "{result:?} cancel: {cancel_requested}");
        assert_eq!(step.purchase.updated_at, LATER);
        // After `Unknown` a final answer still counts, and `Unknown` again says nothing new.
        let before = Purchase { cancel_requested: *cancel_requested, ..unknown() };
        let step = settle(before, result, LATER).unwrap();
        let expected = (*result != ChargeResult::Unknown).then_some(*expected);
        assert_eq!(step.as_ref().map(came), expected);
    }
    for before in over().into_iter().chain([new(), confirmed()]) {
        for (_, result, _) in &cases {
            assert_eq!(settle(before.clone(), result, LATER), Ok(None), "{before:?}");
        }
    }
}

#[test]
fn a_sale_gives_one_ticket_a_place() {
    let sold = confirmed();
    let places: Vec<_> = sold.tickets.iter().map(|ticket| &ticket.item).collect();
    assert_eq!(places, command().items.iter().map(|item| &item.item).collect::<Vec<_>>());
    assert_eq!(sold.charge_id.as_deref(), Some("ch_1"));
    assert_eq!(sold.failure_code, None);
}

#[test]
fn a_cancel_does_what_the_stage_allows() {
    use BookingStatus::{Cancelled, Processing, RefundPending};
    use PaymentState as P;
    let noted = (Processing, P::Submitted, ClaimEffect::Keep, None, false);
    let cases: [(Purchase, Option<Came>); 4] = [
        (new(), Some((Cancelled, P::NotAttempted, ClaimEffect::Release, None, true))),
        (submitted(), Some(noted)),
        (unknown(), Some((Processing, P::Unknown, ClaimEffect::Keep, None, false))),
        (confirmed(), Some((RefundPending, P::Captured, ClaimEffect::Release, None, true))),
    ];
    for (before, expected) in cases {
        let step = cancel(before.clone(), false, LATER);
        assert_eq!(step.as_ref().map(came), expected, "{before:?}");
        // A second cancel changes nothing more.
        let after = step.expect("a step").purchase;
        assert!(after.cancel_requested);
        assert_eq!(cancel(after, false, LATER), None);
    }
    for before in over() {
        assert_eq!(cancel(before.clone(), false, LATER), None, "{before:?}");
    }
    // Whoever went in cannot have the money back.
    assert_eq!(cancel(confirmed(), true, LATER), None);
}

#[test]
fn a_refund_is_done_once() {
    let pending = refund_pending();
    let refund = pending.pending_refund().unwrap().clone();
    assert_eq!((refund.amount, refund.reason.as_str()), (command().total, "cancelled"));
    assert_eq!(refund.items.len(), command().items.len());
    let step = refunded(pending.clone(), &refund.refund_id, LATER).unwrap().unwrap();
    let moves = Some(TransferKind::Refund);
    let expected =
        (BookingStatus::Refunded, PaymentState::Captured, ClaimEffect::Keep, moves, true);
    assert_eq!(came(&step), expected);
    assert_eq!(refunded(step.purchase, &refund.refund_id, LATER), Ok(None));
    let stranger = RefundId::of(&command().booking_id, 2);
    assert_eq!(refunded(pending, &stranger, LATER), Ok(None));
    assert_eq!(refunded(confirmed(), &refund.refund_id, LATER), Ok(None));
}

#[test]
fn states_are_written_and_read_by_the_same_word() {
    use PaymentState::{Captured, Declined, NotAttempted, Submitted, Unknown};
    for state in [NotAttempted, Submitted, Unknown, Captured, Declined] {
        assert_eq!(PaymentState::parse(state.as_str()), Some(state));
    }
    assert_eq!(PaymentState::parse("Captured"), None);
}

/// Anything that may happen to a purchase, in any order.
#[derive(Debug, Clone)]
enum Input {
    Open(SeatAvailability, i64),
    Settle(ChargeResult),
    Cancel(bool),
    Refunded,
}

fn input() -> impl Strategy<Value = Input> {
    let availability = prop_oneof![
        Just(SeatAvailability::Available),
        Just(SeatAvailability::Taken),
        Just(SeatAvailability::OverCap)
    ];
    let total = command().total;
    let amount = prop_oneof![4 => Just(total.minor), 1 => 1..20_000i64];
    let captured = amount.prop_map(move |minor| captures(Money::new(minor, total.currency)));
    let result =
        prop_oneof![3 => captured, 1 => Just(declines()), 1 => Just(ChargeResult::Unknown)];
    prop_oneof![
        2 => (availability, 0..70_000i64).prop_map(|(availability, at)| Input::Open(availability, at)),
        4 => result.prop_map(Input::Settle),
        2 => any::<bool>().prop_map(Input::Cancel),
        2 => Just(Input::Refunded),
    ]
}

/// The step that an input leads to, and whether the places are claimed by it.
fn apply(before: Option<Purchase>, input: &Input) -> Option<Step> {
    match (before, input) {
        (before, Input::Open(availability, at)) => {
            match open(before, &command(), NOW.plus_millis(*at), || *availability) {
                Opening::Submit(purchase) => {
                    let claims = ClaimEffect::Keep;
                    Some(Step { purchase, claims, transfer: None, publish: false })
                }
                Opening::Refuse(step) => Some(step),
                Opening::Resolve(_) | Opening::Over(_) => None,
            }
        }
        (None, Input::Settle(_) | Input::Cancel(_) | Input::Refunded) => None,
        (Some(before), Input::Settle(result)) => settle(before, result, LATER).unwrap(),
        (Some(before), Input::Cancel(used)) => cancel(before, *used, LATER),
        (Some(before), Input::Refunded) => {
            let id = before.pending_refund().map(|refund| refund.refund_id.clone());
            refunded(before, &id?, LATER).unwrap()
        }
    }
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_a_purchase(inputs in prop::collection::vec(input(), 1..24)) {
        let mut now: Option<Purchase> = None;
        let mut cleared = Money::new(0, Currency::EUR);
        for input in &inputs {
            let Some(step) = apply(now.clone(), input) else { continue };
            check_move(now.as_ref(), &step)?;
            if let Some(transfer) = &step.transfer {
                prop_assert!(crate::legs_balance(transfer.legs()));
                let held = transfer.legs().iter().filter(|leg| leg.account == GATEWAY_CLEARING);
                for leg in held {
                    cleared = cleared.checked_add(leg.amount).unwrap();
                }
            }
            check_money(&step.purchase, cleared)?;
            now = Some(step.purchase);
        }
    }
}

/// What every single step keeps to.
fn check_move(before: Option<&Purchase>, step: &Step) -> Result<(), TestCaseError> {
    let after = &step.purchase;
    let (status, version) =
        before.map_or((BookingStatus::Processing, 1), |p| (p.status, p.version));
    // The version counts exactly what is published, and only a change of status is.
    prop_assert_eq!(after.version, version.saturating_add(u32::from(step.publish)));
    prop_assert_eq!(step.publish, after.status != status);
    if status.is_terminal() {
        let cancelled = (BookingStatus::Confirmed, BookingStatus::RefundPending);
        prop_assert_eq!((status, after.status), cancelled);
    }
    // Places are sold by a confirmation and given up by any other end, both once.
    let sells = after.status == BookingStatus::Confirmed;
    prop_assert_eq!(step.claims == ClaimEffect::Sell, sells);
    let frees = step.publish && !sells && status != BookingStatus::RefundPending;
    prop_assert_eq!(step.claims == ClaimEffect::Release, frees);
    // What was never submitted was never charged.
    if after.submitted_at.is_none() {
        prop_assert!(matches!(after.payment, PaymentState::NotAttempted));
    }
    Ok(())
}

/// What was captured is either a live sale or on its way back, at every moment.
fn check_money(purchase: &Purchase, cleared: Money) -> Result<(), TestCaseError> {
    let pending = purchase.pending_refund().map_or(0, |refund| refund.amount.minor);
    let live = match purchase.status {
        BookingStatus::Confirmed => purchase.command.total.minor,
        BookingStatus::Processing
        | BookingStatus::Declined
        | BookingStatus::SeatLost
        | BookingStatus::OverCap
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::RefundPending
        | BookingStatus::Refunded => 0,
    };
    prop_assert_eq!(cleared.minor, live.saturating_add(pending));
    prop_assert_eq!(pending > 0, purchase.status == BookingStatus::RefundPending);
    Ok(())
}
