//! From a hold to a booking, through a log that fails in every way, and back.
use super::venue;
use crate::ReleaseAnswer;
use crate::applier::Applying;
use crate::conformance::venue::{LogState, Venue};
use crate::{
    BookAnswer, Error, HoldSweeper, Left, LocalSeatStore, LockAnswer, LockRequest, Parts, Wish,
};
use crate::{SeatAllocator, SeatHold};
use ledger::{BatchHandler, Booking, BookingCommand, BookingStatus, Group, Message};
use ledger_sqlite::testing::sqlite_ledger;
use std::sync::Arc;

impl Venue {
    /// Applies what the outcomes topic has.
    async fn apply_outcomes(&self) {
        let mut subscription = self.ledger.log.subscribe(Group::OutcomeApplier).await.unwrap();
        let batch = subscription.next(100).await.unwrap();
        Applying { seats: self.seats.clone() }.handle(&batch).await.unwrap();
        subscription.commit().await.unwrap();
    }

    async fn sweep(&self) {
        HoldSweeper::new(self.seats.clone()).sweep().await;
    }

    async fn hold_now(&self, hold: &SeatHold) -> SeatHold {
        self.seats.hold(&hold.id).await.unwrap().unwrap()
    }
}

fn accepted(answer: Result<BookAnswer, Error>) -> Booking {
    match answer.unwrap() {
        BookAnswer::Accepted(booking) => *booking,
        other => panic!("expected a booking, got {other:?}"),
    }
}

#[tokio::test]
async fn a_hold_is_booked_sold_and_cancelled() {
    let venue = venue().await;
    let hold = venue.held(&venue.account(), &[0, 1]).await;
    let booking = venue.booked(&hold).await;
    assert_eq!(booking.status, BookingStatus::Processing);
    assert_eq!((booking.items.clone(), booking.total), (hold.items.clone(), hold.total));
    assert_eq!(venue.hold_now(&hold).await.paying.as_ref(), Some(&booking.id));
    assert_eq!(venue.seats.paying_booking(&booking.id).await.unwrap(), Some(booking.clone()));
    let outcome = venue.decide(true).await;
    venue.publish(outcome.clone()).await;
    venue.apply_outcomes().await;
    assert_eq!(venue.drawn(3).await, "ss.");
    assert_eq!(venue.seats.hold(&hold.id).await.unwrap(), None);
    assert_eq!(venue.seats.paying_booking(&booking.id).await.unwrap(), None);
    assert_eq!(venue.booked(&hold).await.status, BookingStatus::Confirmed);
    let cancelled = Booking { status: BookingStatus::RefundPending, version: 3, ..outcome.booking };
    venue.publish(ledger::BookingOutcome { booking: cancelled, slot: None }).await;
    venue.apply_outcomes().await;
    assert_eq!(venue.drawn(3).await, "...");
}

#[tokio::test]
async fn a_log_that_is_down_changes_nothing() {
    let venue = venue().await;
    let hold = venue.held(&venue.account(), &[0]).await;
    venue.log.is(LogState::Down);
    let error = venue.book(&hold, Some("key")).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(venue.hold_now(&hold).await, hold);
    venue.log.is(LogState::Up);
    assert_eq!(accepted(venue.book(&hold, Some("key")).await).attempt, 1);
    assert_eq!(venue.commands().len(), 1);
}

#[tokio::test]
async fn an_unknown_append_is_settled_by_the_second_book_or_the_sweeper() {
    let venue = venue().await;
    for (place, state) in [(0, LogState::LosesReplies), (1, LogState::LosesMessages)] {
        let hold = venue.held(&venue.account(), &[place]).await;
        venue.log.is(state);
        let Error::OutcomeUnknown { booking, .. } = venue.book(&hold, None).await.unwrap_err()
        else {
            panic!("nobody knows whether it was appended");
        };
        assert_eq!(venue.hold_now(&hold).await.paying.as_ref(), Some(&booking));
        venue.log.is(LogState::Up);
        assert_eq!(venue.booked(&hold).await.id, booking);
        assert_eq!(venue.commands().pop().unwrap().booking_id, booking);
    }
    let hold = venue.held(&venue.account(), &[2]).await;
    venue.log.is(LogState::LosesMessages);
    venue.book(&hold, None).await.unwrap_err();
    let before = venue.commands().len();
    // A batch of two that the log did not take waits for another deadline length.
    venue.wait_seconds(60);
    venue.sweep().await;
    venue.log.is(LogState::Up);
    venue.sweep().await;
    assert_eq!(venue.commands().len(), before + 1, "the third was not in that batch");
    venue.sweep().await;
    assert_eq!(venue.commands().len(), before + 1);
    venue.wait_seconds(60);
    venue.sweep().await;
    venue.sweep().await;
    assert_eq!(venue.commands().len(), before + 4, "each of the three once");
}

#[tokio::test]
async fn a_second_book_first_applies_what_the_books_decided() {
    let venue = venue().await;
    let hold = venue.held(&venue.account(), &[0]).await;
    let first = accepted(venue.book(&hold, Some("one")).await);
    venue.decide(false).await;
    let again = accepted(venue.book(&hold, Some("one")).await);
    assert_eq!((again.id, again.status), (first.id.clone(), BookingStatus::Declined));
    assert_eq!(venue.drawn(1).await, "h");
    let second = accepted(venue.book(&hold, Some("two")).await);
    assert_eq!(second.attempt, 2);
    venue.decide(false).await;
    // The decline is in the books but not in the seats: a new key must not be bound to it.
    let third = accepted(venue.book(&hold, Some("three")).await);
    assert_eq!((third.attempt, third.status), (3, BookingStatus::Processing));
    let second = third;
    venue.decide(true).await;
    let bought = accepted(venue.book(&hold, None).await);
    assert_eq!((bought.id, bought.status), (second.id, BookingStatus::Confirmed));
    assert_eq!(venue.drawn(1).await, "s");
    let declined = accepted(venue.book(&hold, Some("one")).await);
    assert_eq!(declined.id, first.id);
}

#[tokio::test]
async fn a_release_first_applies_what_the_books_decided() {
    let venue = venue().await;
    let hold = venue.held(&venue.account(), &[0]).await;
    accepted(venue.book(&hold, None).await);
    let release = || venue.seats.release(&hold.id, &hold.account);
    assert_eq!(release().await.unwrap(), ReleaseAnswer::Paying);
    venue.decide(false).await;
    assert_eq!(release().await.unwrap(), ReleaseAnswer::Released);
    assert_eq!(venue.drawn(1).await, ".");
}

#[tokio::test]
async fn what_is_held_after_a_decline_is_known_before_the_applier_comes() {
    let venue = venue().await;
    let hold = venue.held(&venue.account(), &[0]).await;
    venue.wait_seconds(299);
    let booking = venue.booked(&hold).await;
    let paying = venue.seats.hold_after(&booking).await.unwrap().unwrap();
    assert_eq!(paying.paying.as_ref(), Some(&booking.id), "nothing is decided");
    // Longer than the hold had left.
    venue.wait_seconds(30);
    let outcome = venue.decide(false).await;
    let declined = outcome.booking.clone();
    let left = venue.seats.hold_after(&declined).await.unwrap().unwrap();
    assert_eq!(left.paying, None);
    assert_eq!(left.until, venue.clock.now().plus_seconds(120));
    venue.publish(outcome).await;
    venue.apply_outcomes().await;
    assert_eq!(venue.seats.hold_after(&declined).await.unwrap(), Some(left));
}

#[tokio::test]
async fn a_hold_that_the_store_has_forgotten_is_found_in_the_books() {
    let mut venue = venue().await;
    let (bought, unknown) =
        (venue.held(&venue.account(), &[0]).await, venue.held(&venue.account(), &[1]).await);
    let booking = venue.booked(&bought).await;
    venue.decide(true).await;
    let elsewhere = sqlite_ledger().await;
    let store = Arc::new(LocalSeatStore::new(elsewhere.journal.clone()));
    venue.seats = SeatAllocator::new(Parts { store, ..venue.seats.parts().clone() });
    assert_eq!(venue.drawn(2).await, "s.", "the record alone brings sales back");
    let found = venue.booked(&bought).await;
    assert_eq!((found.id, found.status), (booking.id, BookingStatus::Confirmed));
    assert_eq!(venue.book(&unknown, None).await.unwrap(), BookAnswer::NotFound);
    let thief = SeatHold { account: venue.account(), ..bought };
    assert_eq!(venue.book(&thief, None).await.unwrap(), BookAnswer::NotHolder);
}

#[tokio::test]
async fn a_cancel_of_what_may_not_be_on_the_log_brings_the_command_along() {
    let venue = venue().await;
    let hold = venue.held(&venue.account(), &[0]).await;
    venue.log.is(LogState::LosesMessages);
    let Error::OutcomeUnknown { booking, .. } = venue.book(&hold, None).await.unwrap_err() else {
        panic!("nobody knows whether it was appended");
    };
    venue.log.is(LogState::Up);
    let booking = venue.seats.paying_booking(&booking).await.unwrap().unwrap();
    venue.seats.cancel(&booking, &hold.account).await.unwrap();
    let appended = venue.log.appended.lock().unwrap().clone();
    let [Message::Command(BookingCommand::Place(place)), Message::Command(last)] = &appended[..]
    else {
        panic!("expected a command and its cancel, got {appended:?}");
    };
    assert_eq!(place.booking_id, booking.id);
    assert!(matches!(last, BookingCommand::Cancel(cancel) if cancel.booking_id == booking.id));
}

#[tokio::test]
async fn an_outcome_that_does_not_fit_reloads_its_seats_from_the_record() {
    let venue = venue().await;
    let (ann, bob) = (venue.account(), venue.account());
    let hold = venue.held(&ann, &[0, 1]).await;
    venue.booked(&hold).await;
    let command = venue.claim().await;
    // The copy is lost with its journal, then grants a place of the booking to somebody else.
    let mut outcome = venue.settle(&command, true).await;
    let paying = venue.seats.copy(&venue.event);
    outcome.booking.status = BookingStatus::Expired;
    venue.seats.apply(&paying, &outcome).await.unwrap();
    venue.held(&bob, &[1, 2]).await;
    assert_eq!(venue.drawn(3).await, ".hh");
    outcome.booking.status = BookingStatus::Confirmed;
    venue.publish(outcome).await;
    venue.apply_outcomes().await;
    assert_eq!(venue.drawn(3).await, "ss.", "the claim wins, and a hold is whole or not at all");
    assert!(venue.seats.holds(&venue.event.id, &bob).await.unwrap().is_empty());
}

#[tokio::test]
async fn bounds_of_one_lock() {
    let venue = venue().await;
    let many: Vec<u32> = (0..11).collect();
    assert_eq!(venue.lock(&venue.account(), &many).await, LockAnswer::TooMany { max: 10 });
    assert_eq!(venue.lock(&venue.account(), &[0, 1, 2, 3, 4]).await, LockAnswer::OverCap);
    assert_eq!(venue.lock(&venue.account(), &[]).await, LockAnswer::SoldOut);
    assert_eq!(venue.lock(&venue.account(), &[1_000]).await, LockAnswer::Taken);
}

#[tokio::test]
async fn a_party_that_does_not_fit_side_by_side_is_told_what_is_left() {
    let venue = venue().await;
    // Every second seat of the stalls is somebody's.
    for place in (0..50).step_by(2) {
        venue.held(&venue.account(), &[place]).await;
    }
    let stalls = Some(SectionId::parse("stalls").unwrap());
    let lock = async |quantity, together| {
        let request = LockRequest {
            event: venue.event.clone(),
            account: venue.account(),
            slot: None,
            wish: Wish::Best { quantity, section: stalls.clone() },
            together,
            key: None,
        };
        venue.seats.lock(request).await.unwrap()
    };
    let left = Left { free: 25, largest_group: 1 };
    assert_eq!(lock(2, true).await, LockAnswer::Apart(left));
    let LockAnswer::Held(hold) = lock(3, false).await else { panic!("three seats are free") };
    let seats: Vec<_> = hold.items.iter().map(|item| item.label.as_str()).collect();
    assert_eq!(seats, ["A-2", "A-4", "A-6"]);
    while let LockAnswer::Held(_) = lock(2, false).await {}
    assert_eq!(lock(1, true).await, LockAnswer::SoldOut);
    assert_eq!(lock(2, false).await, LockAnswer::SoldOut);
}

#[tokio::test]
async fn the_sweeper_ends_every_hold_that_is_due() {
    let venue = venue().await;
    for place in 0..5 {
        venue.held(&venue.account(), &[place]).await;
    }
    venue.wait_seconds(300);
    venue.sweep().await;
    let copy = venue.seats.copy(&venue.event);
    let store = &venue.seats.parts().store;
    let swept = venue.seats.call(&copy, |at| async move { store.sweep(&at, 10).await });
    let swept = swept.await.unwrap();
    assert_eq!((swept.ended, swept.holds), (0, 0), "batches follow until nothing is left");
}
