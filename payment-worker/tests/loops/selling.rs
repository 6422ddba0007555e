//! From a command to its end, when nothing or only the expected goes wrong.
use crate::faults::Faults;
use crate::world::{World, eventually};
use ledger::conformance::sample::{NOW, free};
use ledger::purchase::PaymentState;
use ledger::{BookingStatus, PlaceBooking, Timestamp, TransferKind};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_placed_booking_is_confirmed_with_one_transfer_and_its_tickets() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1", "stalls-A-2"], "tok_default");
    world.append_places(&[&place]).await;
    world.work_until(async || world.settled(&[&place]).await).await;
    let purchase = world.purchase(&place).await.unwrap();
    assert_eq!(purchase.status, BookingStatus::Confirmed);
    assert_eq!(purchase.tickets.len(), 2);
    let [charge] = &world.charges().await[..] else { panic!("one charge") };
    assert_eq!((&charge.booking, charge.amount), (&place.booking_id, place.total));
    assert_eq!(purchase.charge_id.as_ref(), Some(&charge.id));
    let [transfer] = &world.transfers().await[..] else { panic!("one transfer") };
    assert_eq!(transfer.kind(), TransferKind::Capture);
    assert_eq!(transfer.cause(), place.booking_id.as_str());
    world.assert_sound(&[&place]).await;
}

#[tokio::test]
async fn free_tickets_never_reach_the_gateway() {
    let world = World::new().await;
    // A gateway that is asked would decline it.
    let place = free(&world.place(&["stalls-A-1"], "tok_decline"));
    world.append_places(&[&place]).await;
    world.work_until(async || world.settled(&[&place]).await).await;
    assert_eq!(world.status(&place).await, Some(BookingStatus::Confirmed));
    world.assert_sound(&[&place]).await;
    world.append_cancel(&place).await;
    world.work_until(async || world.is(&place, BookingStatus::Cancelled).await).await;
    world.work_until(async || world.settled(&[&place]).await).await;
    assert_eq!((world.charges().await.len(), world.refunds().await), (0, 0));
    assert_eq!(world.transfers().await, []);
    world.assert_sound(&[&place]).await;
}

#[tokio::test]
async fn what_cannot_be_sold_ends_without_a_charge_or_with_a_declined_one() {
    let world = World::new().await;
    let first = world.place(&["stalls-A-1"], "tok_good");
    let declined = world.place(&["stalls-A-2"], "tok_decline");
    let late = world.place(&["stalls-A-1", "stalls-A-3"], "tok_good");
    let capped =
        PlaceBooking { seats_per_account_max: 0, ..world.place(&["stalls-A-4"], "tok_good") };
    let old = Timestamp::from_millis(NOW.millis() - 1);
    let expired = PlaceBooking { deadline: old, ..world.place(&["stalls-A-5"], "tok_good") };
    let all = [&first, &declined, &late, &capped, &expired];
    world.append_places(&all).await;
    world.work_until(async || world.settled(&all).await).await;
    let table = [
        (&first, BookingStatus::Confirmed, Some(true)),
        (&declined, BookingStatus::Declined, Some(false)),
        (&late, BookingStatus::SeatLost, None),
        (&capped, BookingStatus::OverCap, None),
        (&expired, BookingStatus::Expired, None),
    ];
    let charges = world.charges().await;
    for (place, status, captured) in table {
        assert_eq!(world.status(place).await, Some(status));
        let charge = charges.iter().find(|charge| charge.booking == place.booking_id);
        assert_eq!(charge.map(|c| c.decline_code.is_none()), captured, "{status:?}");
    }
    world.assert_sound(&all).await;
}

#[tokio::test]
async fn a_command_delivered_again_is_charged_once_and_announced_again() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    world.append_places(&[&place]).await;
    // The first worker dies between the settlement and the commit.
    world.gateway.hold([&place.booking_id]);
    world.work_until(async || world.gateway.seen().charges.len() == 1).await;
    assert_eq!(world.backlog().await, 1, "nothing is committed before its effect");
    world.gateway.release();
    // The next one knows of the attempt and leaves it to the reconciler.
    world.work_until(async || world.backlog().await == 0).await;
    assert_eq!(world.gateway.seen().charges.len(), 1, "not before its next try");
    world.resolve_due().await;
    assert!(world.settled(&[&place]).await && world.is(&place, BookingStatus::Confirmed).await);
    let announced = async || world.announcements(&place.booking_id).await.len();
    assert_eq!(announced().await, 1);
    // The command itself comes a second time, as HoldSweeper may append it.
    world.append_places(&[&place, &place]).await;
    world.work_until(async || world.settled(&[&place]).await).await;
    assert_eq!(announced().await, 2, "whoever missed the outcome gets it again");
    assert_eq!(world.charges().await.len(), 1);
    assert_eq!(world.transfers().await.len(), 1);
    world.assert_sound(&[&place]).await;
}

#[tokio::test]
async fn a_slow_charge_holds_back_only_the_commit() {
    let mut world = World::new().await;
    world.config.batch_max = 1;
    let slow = world.place(&["stalls-A-1"], "tok_good");
    let quick = world.place(&["stalls-A-2"], "tok_good");
    world.gateway.hold([&slow.booking_id]);
    world.append_places(&[&slow, &quick]).await;
    let script = async {
        eventually(async || world.is(&quick, BookingStatus::Confirmed).await).await;
        assert_eq!(world.backlog().await, 2, "offsets are committed in order");
        world.gateway.release();
        eventually(async || world.settled(&[&slow, &quick]).await).await;
    };
    world.work_during(script).await;
    world.assert_sound(&[&slow, &quick]).await;
}

#[tokio::test]
async fn finished_batches_are_committed_while_later_ones_are_open() {
    let mut world = World::new().await;
    world.config.batch_max = 1;
    let quick = world.place(&["stalls-A-1"], "tok_good");
    let slow = world.place(&["stalls-A-2"], "tok_good");
    world.gateway.hold([&slow.booking_id]);
    world.append_places(&[&quick, &slow]).await;
    world.work_until(async || world.backlog().await == 1).await;
    assert_eq!(world.status(&slow).await, Some(BookingStatus::Processing));
}

#[tokio::test]
async fn charges_in_flight_stay_under_their_bound() {
    let mut world = World::new().await;
    world.config.inflight_max = 3;
    world.config.window_batches_max = 10;
    let places: Vec<_> =
        (0..9).map(|n| world.place(&[&format!("stalls-A-{n}")], "tok_good")).collect();
    let all: Vec<&PlaceBooking> = places.iter().collect();
    world.gateway.hold(all.iter().map(|place| &place.booking_id));
    world.append_places(&all).await;
    let script = async {
        eventually(async || world.gateway.seen().charges.len() == 3).await;
        world.gateway.release();
        eventually(async || world.settled(&all).await).await;
    };
    world.work_during(script).await;
    assert_eq!(world.gateway.seen().inside_most, 3);
    world.assert_sound(&all).await;
}

#[tokio::test]
async fn one_hanging_charge_does_not_stall_the_intake() {
    let world = World::new().await;
    let slow = world.place(&["stalls-A-1"], "tok_good");
    world.gateway.hold([&slow.booking_id]);
    world.append_places(&[&slow]).await;
    let quick: Vec<_> =
        (2..11).map(|n| world.place(&[&format!("stalls-A-{n}")], "tok_good")).collect();
    assert!(quick.len() > 2 * world.config.window_batches_max, "far more batches than that");
    let all: Vec<&PlaceBooking> = std::iter::once(&slow).chain(&quick).collect();
    let script = async {
        eventually(async || world.gateway.seen().charges.len() == 1).await;
        for place in &quick {
            // One at a time: a batch each.
            world.append_places(&[place]).await;
            eventually(async || world.is(place, BookingStatus::Confirmed).await).await;
        }
        assert_eq!(world.backlog().await, 10, "only the commit is held back");
        world.gateway.release();
        eventually(async || world.settled(&all).await).await;
    };
    world.work_during(script).await;
    world.assert_sound(&all).await;
}

#[tokio::test]
async fn the_window_of_open_messages_is_bounded() {
    let mut world = World::new().await;
    world.config.batch_max = 1;
    world.config.window_batches_max = 2;
    let places: Vec<_> =
        (0..4).map(|n| world.place(&[&format!("stalls-A-{n}")], "tok_good")).collect();
    let all: Vec<&PlaceBooking> = places.iter().collect();
    world.gateway.hold([&places[0].booking_id]);
    world.append_places(&all).await;
    world.work_until(async || world.is(&places[1], BookingStatus::Confirmed).await).await;
    assert_eq!(world.status(&places[2]).await, None, "no third message is taken");
    world.gateway.release();
    world.work_until(async || world.backlog().await == 0).await;
    world.resolve_due().await;
    assert!(world.settled(&all).await);
}

#[tokio::test]
async fn a_gateway_that_hangs_leaves_the_charge_unknown_and_the_offset_committed() {
    let mut world = World::new().await;
    world.config.charge_timeout_ms = 20;
    let place = world.place(&["stalls-A-1"], "tok_good");
    world.gateway.hold([&place.booking_id]);
    world.append_places(&[&place]).await;
    world.work_until(async || world.backlog().await == 0).await;
    let purchase = world.purchase(&place).await.unwrap();
    assert_eq!(purchase.payment, PaymentState::Unknown);
    assert_eq!(purchase.status, BookingStatus::Processing);
    let claims = world.ledger.books.purchase_reads.claims(&world.event.id, 0).await.unwrap();
    assert_eq!(claims.live.len(), 1, "the seat stays blocked");
    world.gateway.release();
    world.clock.advance(Duration::from_secs(2));
    // From here on the gateway may take its time.
    let world = World { config: payment_worker::conformance::config(), ..world };
    let reconciler = world.reconciler(&Faults::none());
    reconciler.resolve().await.unwrap();
    assert!(world.is(&place, BookingStatus::Confirmed).await);
    world.assert_sound(&[&place]).await;
}

#[tokio::test]
async fn a_worker_told_to_stop_finishes_what_is_in_hand() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    world.gateway.hold([&place.booking_id]);
    world.append_places(&[&place]).await;
    let shutdown = CancellationToken::new();
    let run = world.worker(&Faults::none()).run(shutdown.clone());
    let stop = async {
        eventually(async || world.gateway.seen().charges.len() == 1).await;
        shutdown.cancel();
        let later = world.place(&["stalls-A-2"], "tok_good");
        world.append_places(&[&later]).await;
        world.gateway.release();
        later
    };
    let ((), later) = tokio::join!(run, stop);
    assert!(world.is(&place, BookingStatus::Confirmed).await);
    assert_eq!(world.backlog().await, 1, "what was in hand is committed");
    assert_eq!(world.status(&later).await, None, "nothing new is taken");
}

#[tokio::test]
async fn a_drain_ends_in_bounded_time_and_commits_nothing_unfinished() {
    let mut world = World::new().await;
    world.config.drain_timeout_ms = 20;
    let place = world.place(&["stalls-A-1"], "tok_good");
    world.gateway.hold([&place.booking_id]);
    world.append_places(&[&place]).await;
    let shutdown = CancellationToken::new();
    let run = world.worker(&Faults::none()).run(shutdown.clone());
    let stop = async {
        eventually(async || world.gateway.seen().charges.len() == 1).await;
        shutdown.cancel();
    };
    tokio::join!(run, stop);
    assert_eq!(world.backlog().await, 1);
    world.gateway.release();
    world.work_until(async || world.backlog().await == 0).await;
    world.resolve_due().await;
    assert!(world.is(&place, BookingStatus::Confirmed).await);
    world.assert_sound(&[&place]).await;
}

#[tokio::test]
async fn a_worker_without_a_log_tries_to_join_until_it_is_told_to_stop() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    world.append_places(&[&place]).await;
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = calls.clone();
    let faults = Faults::new(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Some(crate::faults::Fault::FailBefore)
    });
    let shutdown = CancellationToken::new();
    let run = world.worker(&faults).run(shutdown.clone());
    let stop = async {
        eventually(async || calls.load(std::sync::atomic::Ordering::Relaxed) >= 5).await;
        shutdown.cancel();
    };
    let stopped = async { tokio::join!(run, stop) };
    tokio::time::timeout(Duration::from_secs(60), stopped).await.expect("it stops when told");
    assert_eq!(world.status(&place).await, None, "nothing was read without the log");
}

#[tokio::test]
async fn while_the_books_are_down_nothing_is_charged_and_nothing_skipped() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    world.append_places(&[&place]).await;
    // The first call subscribes; then the books refuse twenty times.
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = calls.clone();
    let faults = Faults::new(move || {
        let call = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // The second call is the read of the log, which the plan only sees when it finds something.
        (2..22).contains(&call).then_some(crate::faults::Fault::FailBefore)
    });
    let run = world.worker(&faults).run(CancellationToken::new());
    let check = eventually(async || {
        if calls.load(std::sync::atomic::Ordering::Relaxed) < 22 {
            assert!(world.gateway.seen().charges.is_empty());
        }
        world.settled(&[&place]).await
    });
    tokio::select! {
        () = run => panic!("the worker ended by itself"),
        () = check => {}
    }
    assert!(world.is(&place, BookingStatus::Confirmed).await);
    world.assert_sound(&[&place]).await;
}
