//! What the reconciler takes up: unknown charges, refunds, the outbox.
use crate::faults::{Fault, Faults};
use crate::world::World;
use ledger::books::Begun;
use ledger::purchase::PaymentState;
use ledger::{BookingStatus, Money, PlaceBooking};
use payment_simulator::Simulation;
use payment_worker::gateway::{ChargeRequest, PaymentGateway};
use std::time::Duration;

/// Opens the booking and charges nothing: a worker that died right after the commit.
async fn submitted(world: &World, place: &PlaceBooking) {
    let begun = world
        .ledger
        .books
        .purchases
        .begin(std::slice::from_ref(place), world.clock.now())
        .await
        .unwrap();
    assert!(matches!(&begun[..], [Begun::Charge(_)]), "{begun:?}");
}

/// One look of the reconciler at the gateway and one at the outbox.
async fn look(world: &World) {
    let reconciler = world.reconciler(&Faults::none());
    reconciler.resolve().await.unwrap();
    reconciler.publish().await.unwrap();
}

#[tokio::test]
async fn an_unknown_charge_is_asked_for_again_after_two_seconds_then_every_fifteen() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    submitted(&world, &place).await;
    let mut config = world.config.clone();
    config.charge_timeout_ms = 1;
    let world = World { config, ..world };
    world.gateway.hold([&place.booking_id]);
    let asked = || world.gateway.seen().charges.len();
    for (seconds, expected) in [(1, 0), (1, 1), (14, 1), (1, 2), (15, 3)] {
        world.clock.advance(Duration::from_secs(seconds));
        look(&world).await;
        assert_eq!(asked(), expected, "after {seconds} s more");
        let payment = world.purchase(&place).await.unwrap().payment;
        let before = if expected == 0 { PaymentState::Submitted } else { PaymentState::Unknown };
        assert_eq!(payment, before);
    }
    world.gateway.release();
    world.clock.advance(Duration::from_secs(15));
    // The gate opens at once, but the answer still takes a moment.
    let world = World { config: payment_worker::conformance::config(), ..world };
    look(&world).await;
    assert!(world.is(&place, BookingStatus::Confirmed).await);
    assert_eq!(world.charges().await.len(), 1);
    world.assert_sound(&[&place]).await;
}

#[tokio::test]
async fn a_lost_reply_is_captured_by_the_reconciler() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_unknown");
    world.append_places(&[&place]).await;
    world.work_until(async || world.backlog().await == 0).await;
    assert_eq!(world.purchase(&place).await.unwrap().payment, PaymentState::Unknown);
    world.clock.advance(Duration::from_secs(2));
    look(&world).await;
    assert!(world.is(&place, BookingStatus::Confirmed).await);
    assert_eq!(world.charges().await.len(), 1);
    world.assert_sound(&[&place]).await;
}

#[tokio::test]
async fn a_command_that_comes_again_does_not_hurry_an_open_charge() {
    let world = World::new().await;
    let fresh = world.place(&["stalls-A-1"], "tok_good");
    let unknown = world.place(&["stalls-A-2"], "tok_unknown");
    let all = [&fresh, &unknown];
    world.append_places(&[&unknown]).await;
    world.work_until(async || world.backlog().await == 0).await;
    submitted(&world, &fresh).await;
    for _ in 0..3 {
        world.append_places(&all).await;
        world.work_until(async || world.backlog().await == 0).await;
    }
    assert_eq!(
        world.gateway.seen().charges,
        std::slice::from_ref(&unknown.booking_id),
        "asked once"
    );
    assert_eq!(world.purchase(&fresh).await.unwrap().payment, PaymentState::Submitted);
    assert_eq!(world.purchase(&unknown).await.unwrap().payment, PaymentState::Unknown);
    world.clock.advance(Duration::from_secs(2));
    look(&world).await;
    for place in all {
        assert!(world.is(place, BookingStatus::Confirmed).await);
    }
    assert_eq!(world.charges().await.len(), 2);
    world.assert_sound(&all).await;
}

#[tokio::test]
async fn after_the_key_window_the_gateway_is_only_asked_what_it_has() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    submitted(&world, &place).await;
    world.clock.advance(Duration::from_secs(86_400));
    for _ in 0..3 {
        look(&world).await;
        world.clock.advance(Duration::from_secs(15));
    }
    let seen = world.gateway.seen();
    assert_eq!((seen.charges.len(), seen.look_ups), (0, 3));
    let purchase = world.purchase(&place).await.unwrap();
    assert_eq!(purchase.payment, PaymentState::Unknown, "not found is never final");
    let claims = world.ledger.books.purchase_reads.claims(&world.event.id, 0).await.unwrap();
    assert_eq!(claims.live.len(), 1, "and never releases a claim");
    // The first request was on its way all the time.
    charge_at_gateway(&world, &place, place.total).await;
    look(&world).await;
    assert!(world.is(&place, BookingStatus::Confirmed).await);
    world.assert_sound(&[&place]).await;
}

async fn charge_at_gateway(world: &World, place: &PlaceBooking, amount: Money) {
    let (key, payment_token) = (place.booking_id.clone(), place.payment_token.clone());
    world.gateway.charge(&ChargeRequest { key, amount, payment_token }).await.unwrap();
}

#[tokio::test]
async fn an_amount_that_the_gateway_made_different_is_refunded() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    submitted(&world, &place).await;
    let other = Money::new(place.total.minor + 1, place.total.currency);
    charge_at_gateway(&world, &place, other).await;
    world.clock.advance(Duration::from_secs(2));
    look(&world).await;
    assert!(world.is(&place, BookingStatus::RefundPending).await);
    world.clock.advance(Duration::from_secs(15));
    look(&world).await;
    let purchase = world.purchase(&place).await.unwrap();
    assert_eq!(purchase.status, BookingStatus::Refunded);
    assert_eq!(purchase.refunds[0].amount, other);
    assert_eq!(world.refunds().await, 1);
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_is_sent_again_and_done_once() {
    let simulation = Simulation { latency_ms: 0, unknown: 1.0, ..Simulation::default() };
    let world = World::with(simulation).await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    world.append_places(&[&place]).await;
    world.work_until(async || world.settled(&[&place]).await).await;
    world.append_cancel(&place).await;
    world.work_until(async || world.backlog().await == 0).await;
    look(&world).await;
    assert!(world.is(&place, BookingStatus::RefundPending).await);
    assert_eq!(world.refunds().await, 1, "the effect is there, the answer is not");
    world.clock.advance(Duration::from_secs(15));
    look(&world).await;
    assert!(world.is(&place, BookingStatus::Refunded).await);
    assert_eq!((world.refunds().await, world.transfers().await.len()), (1, 2));
    world.assert_sound(&[&place]).await;
}

#[tokio::test]
async fn the_outbox_is_published_until_the_log_has_it() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_decline");
    submitted(&world, &place).await;
    world.clock.advance(Duration::from_secs(2));
    let deaf = world.reconciler(&Faults::new(fail_appends()));
    deaf.resolve().await.unwrap_err();
    assert!(world.is(&place, BookingStatus::Declined).await, "recorded all the same");
    assert!(world.announcements(&place.booking_id).await.is_empty());
    look(&world).await;
    assert!(world.settled(&[&place]).await);
    world.assert_sound(&[&place]).await;
}

/// Lets the look for work, the charge and the settlement pass; the append after them fails.
fn fail_appends() -> impl FnMut() -> Option<Fault> {
    let mut call = 0;
    move || {
        call += 1;
        (call > 3).then_some(Fault::FailBefore)
    }
}

#[tokio::test]
async fn young_outcomes_are_left_to_the_worker() {
    let mut world = World::new().await;
    world.config.outbox_age_min_ms = 1_000;
    let place = world.place(&["stalls-A-1"], "tok_decline");
    submitted(&world, &place).await;
    world.clock.advance(Duration::from_secs(2));
    world.reconciler(&Faults::new(fail_appends())).resolve().await.unwrap_err();
    look(&world).await;
    assert!(world.announcements(&place.booking_id).await.is_empty());
    world.clock.advance(Duration::from_secs(1));
    look(&world).await;
    assert!(!world.announcements(&place.booking_id).await.is_empty());
}
