//! Commands and answers that the books refuse for ever: the others go on, and somebody is told.
use crate::faults::Faults;
use crate::world::{World, eventually};
use ledger::{BookingStatus, PlaceBooking};
use tokio_util::sync::CancellationToken;

/// A world and bookings of ten places, all of which read in one batch.
async fn ten() -> (World, Vec<PlaceBooking>) {
    let mut world = World::new().await;
    world.config.batch_max = 10;
    world.config.inflight_max = 10;
    let place = |n| world.place(&[&format!("stalls-A-{n}")], "tok_good");
    let places = (0..10).map(place).collect();
    (world, places)
}

#[tokio::test]
async fn a_command_that_cannot_be_opened_is_set_aside_and_the_others_are_sold() {
    let (world, places) = ten().await;
    world.poison.opening([&places[4].booking_id]);
    // Twice on the log: both copies are set aside.
    let mut all: Vec<&PlaceBooking> = places.iter().collect();
    all.push(&places[4]);
    world.append_places(&all).await;
    world.work_until(async || world.backlog().await == 0).await;
    for (n, place) in places.iter().enumerate() {
        let expected = (n != 4).then_some(BookingStatus::Confirmed);
        assert_eq!(world.status(place).await, expected, "place {n}");
    }
    assert_eq!(world.dead_letters().await, 2);
    assert_eq!(world.charges().await.len(), 9, "what was never opened is never charged");
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_holds_up_no_other() {
    let (world, places) = ten().await;
    world.poison.settling([&places[7].booking_id]);
    let all: Vec<&PlaceBooking> = places.iter().collect();
    world.append_places(&all).await;
    world.work_until(async || world.backlog().await == 0).await;
    for (n, place) in places.iter().enumerate() {
        let sold = if n == 7 { BookingStatus::Processing } else { BookingStatus::Confirmed };
        assert_eq!(world.status(place).await, Some(sold), "place {n}");
    }
    assert_eq!(world.dead_letters().await, 1);
    // It is charged, so the reconciler asks again, and records it once somebody mended the cause.
    world.poison.mend();
    world.resolve_due().await;
    assert!(world.is(&places[7], BookingStatus::Confirmed).await);
    assert_eq!(world.charges().await.len(), 10);
    world.assert_sound(&all).await;
}

#[tokio::test]
async fn the_reconciler_records_what_comes_beside_poison() {
    let world = World::new().await;
    let places: Vec<_> =
        (0..4).map(|n| world.place(&[&format!("stalls-A-{n}")], "tok_unknown")).collect();
    let all: Vec<&PlaceBooking> = places.iter().collect();
    world.append_places(&all).await;
    world.work_until(async || world.backlog().await == 0).await;
    world.poison.settling([&places[1].booking_id]);
    world.resolve_due().await;
    for (n, place) in places.iter().enumerate() {
        assert_eq!(world.is(place, BookingStatus::Confirmed).await, n != 1, "place {n}");
    }
}

#[tokio::test]
async fn books_that_refuse_everything_do_not_empty_the_log_into_the_dead_letters() {
    let (world, places) = ten().await;
    world.poison.opening(places.iter().map(|place| &place.booking_id));
    let all: Vec<&PlaceBooking> = places.iter().collect();
    world.append_places(&all).await;
    let mut parts = world.parts(&Faults::none());
    parts.consumer.poison_in_a_row_max = 3;
    let stop = CancellationToken::new();
    let run = payment_worker::PaymentWorker::new(parts).run(stop.clone());
    let script = async {
        eventually(async || world.poison.refusals() >= 60).await;
        assert_eq!((world.dead_letters().await, world.backlog().await), (0, 10));
        world.poison.mend();
        eventually(async || world.settled(&all).await).await;
        stop.cancel();
    };
    tokio::join!(run, script);
    assert_eq!(world.dead_letters().await, 0, "nothing was lost to books that were broken");
}
