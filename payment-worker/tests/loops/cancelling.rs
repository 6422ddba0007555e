//! A cancel at every stage of a booking, with the money right at the end.
use crate::faults::Faults;
use crate::world::World;
use ledger::conformance::sample::cancel_of;
use ledger::{BookingCommand, BookingStatus, PlaceBooking};
use std::time::Duration;

/// How far the booking has come when its cancel is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Both commands are in one batch.
    SameBatch,
    /// The charge is at the gateway.
    Submitted,
    /// The gateway was asked and did not answer.
    Unknown,
    /// The sale is over.
    Ended,
}

async fn reach(world: &World, place: &PlaceBooking, stage: Stage) {
    world.append_places(&[place]).await;
    let id = &place.booking_id;
    match stage {
        Stage::SameBatch => {}
        Stage::Submitted => {
            world.gateway.hold([id]);
            world.work_until(async || world.gateway.seen().charges.len() == 1).await;
            world.gateway.release();
        }
        Stage::Unknown => world.work_until(async || world.backlog().await == 0).await,
        Stage::Ended => world.work_until(async || world.settled(&[place]).await).await,
    }
}

#[tokio::test]
async fn a_cancel_ends_right_at_every_stage() {
    use BookingStatus::{Cancelled, Declined, Refunded};
    let table = [
        (Stage::SameBatch, "tok_good", Refunded),
        (Stage::SameBatch, "tok_decline", Cancelled),
        (Stage::SameBatch, "tok_unknown", Refunded),
        (Stage::Submitted, "tok_good", Refunded),
        (Stage::Submitted, "tok_decline", Cancelled),
        (Stage::Unknown, "tok_unknown", Refunded),
        (Stage::Ended, "tok_good", Refunded),
        (Stage::Ended, "tok_decline", Declined),
    ];
    for (stage, token, expected) in table {
        let world = World::new().await;
        let place = world.place(&["stalls-A-1"], token);
        reach(&world, &place, stage).await;
        world.append_cancel(&place).await;
        let none = Faults::none();
        tokio::select! {
            () = world.node(&none) => panic!("the node ended by itself"),
            () = world.in_time(async || {
                world.status(&place).await == Some(expected) && world.settled(&[&place]).await
            }) => {}
        }
        let refunds = usize::from(expected == Refunded);
        assert_eq!(world.refunds().await, refunds, "{stage:?} {token}");
        assert_eq!(world.transfers().await.len(), refunds * 2, "{stage:?} {token}");
        let claims = world.ledger.books.purchase_reads.claims(&world.event.id, 0).await.unwrap();
        assert!(claims.live.is_empty(), "the seat is free again: {stage:?} {token}");
        world.assert_sound(&[&place]).await;
    }
}

#[tokio::test]
async fn a_cancel_read_before_its_booking_does_not_stop_the_worker() {
    let world = World::new().await;
    let place = world.place(&["stalls-A-1"], "tok_good");
    world.append([BookingCommand::Cancel(cancel_of(&place))]).await;
    world.append_places(&[&place]).await;
    world.work_until(async || world.settled(&[&place]).await).await;
    assert!(world.is(&place, BookingStatus::Confirmed).await);
}

#[tokio::test]
async fn the_seat_of_a_cancelled_booking_is_sold_again() {
    let world = World::new().await;
    let first = world.place(&["stalls-A-1"], "tok_good");
    let second = world.place(&["stalls-A-1"], "tok_good");
    world.append_places(&[&first]).await;
    world.append_cancel(&first).await;
    let none = Faults::none();
    let script = async {
        world.in_time(async || world.is(&first, BookingStatus::Refunded).await).await;
        world.append_places(&[&second]).await;
        world.in_time(async || world.settled(&[&first, &second]).await).await;
    };
    tokio::select! {
        () = world.node(&none) => panic!("the node ended by itself"),
        () = script => {}
    }
    assert!(world.is(&second, BookingStatus::Confirmed).await);
    world.clock.advance(Duration::from_secs(1));
    world.assert_sound(&[&first, &second]).await;
}
