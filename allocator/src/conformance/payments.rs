//! Payments and their outcomes: expected states, replays, retries, and what is never freed.
use super::{Fixture, held};
use crate::store::{Applied, Paid, SeatStore, Truth};
use crate::{BookTarget, ReleaseAnswer};
use ledger::{ATTEMPTS_MAX, BookingId, BookingStatus};
use std::sync::Arc;

pub(super) async fn all(store: Arc<dyn SeatStore>) {
    sale_and_cancel(store.clone()).await;
    declines(store.clone()).await;
    keys(store.clone()).await;
    joins(store.clone()).await;
    one_key_one_booking(store.clone()).await;
    never_freed_while_paying(store.clone()).await;
    taken_back(store.clone()).await;
    targets(store.clone()).await;
    reloads(store).await;
}

async fn sale_and_cancel(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let hold = held(fixture.lock(&fixture.account(), &[0, 1]).await);
    let command = fixture.begun(&hold).await;
    assert_eq!(command.booking_id, BookingId::of_attempt(&hold.id, 1));
    assert_eq!((command.items.len(), command.total.minor), (2, 9_000));
    assert_eq!(fixture.drawn(0..3).await, "pp.");
    assert_eq!(fixture.release(&hold, &hold.account).await, ReleaseAnswer::Paying);
    assert_eq!(fixture.apply(&command, BookingStatus::Processing).await, Applied::Already);
    assert_eq!(fixture.apply(&command, BookingStatus::Confirmed).await, Applied::Done);
    assert_eq!(fixture.apply(&command, BookingStatus::Confirmed).await, Applied::Already);
    assert_eq!(fixture.drawn(0..3).await, "ss.");
    let before = Paid::Before(command.booking_id.clone());
    assert_eq!(fixture.pay_hold(&hold, None).await, before, "what bought it answers for it");
    assert_eq!(fixture.apply(&command, BookingStatus::RefundPending).await, Applied::Done);
    assert_eq!(fixture.apply(&command, BookingStatus::Refunded).await, Applied::Already);
    assert_eq!(fixture.drawn(0..3).await, "...");
    let next = held(fixture.lock(&fixture.account(), &[0, 1]).await);
    // An old outcome that comes again must not touch the next holder's seats.
    assert_eq!(fixture.apply(&command, BookingStatus::RefundPending).await, Applied::Already);
    assert_eq!(fixture.apply(&command, BookingStatus::Confirmed).await, Applied::Unexpected);
    assert_eq!(fixture.hold(&next).await, next);
}

/// A decline gives the seats back to the same hold, with at least two minutes; the last frees them.
async fn declines(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let mut hold = held(fixture.lock(&fixture.account(), &[0]).await);
    fixture.wait_millis(hold.until.millis_since(fixture.clock.now()) - 1);
    for attempt in 1..=ATTEMPTS_MAX {
        let command = fixture.begun(&hold).await;
        assert_eq!(command.attempt, attempt);
        assert_eq!(fixture.apply(&command, BookingStatus::Declined).await, Applied::Done);
        assert_eq!(fixture.apply(&command, BookingStatus::Declined).await, Applied::Already);
        if attempt < ATTEMPTS_MAX {
            assert_eq!(fixture.drawn(0..1).await, "h");
            hold = fixture.hold(&hold).await;
            assert_eq!(hold.until, fixture.clock.now().plus_seconds(120));
        }
    }
    assert_eq!(fixture.drawn(0..1).await, ".");
    assert_eq!(fixture.pay_hold(&hold, None).await, Paid::Expired);
}

/// The key names what it made, also when that was declined since.
async fn keys(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let hold = held(fixture.lock(&fixture.account(), &[0]).await);
    let Paid::Begun(first) = fixture.pay_hold(&hold, Some(("one", 1))).await else {
        panic!("a new key begins a payment");
    };
    let live = |keyed| Paid::Live { command: first.clone(), keyed };
    assert_eq!(fixture.pay_hold(&hold, Some(("one", 1))).await, live(true));
    assert_eq!(fixture.pay_hold(&hold, Some(("two", 1))).await, live(false));
    assert_eq!(fixture.join(&hold, ("two", 1), &first.booking_id).await, live(false));
    // Not bound: nobody said that the booking is undecided.
    assert_eq!(fixture.pay_hold(&hold, Some(("three", 1))).await, live(false));
    assert_eq!(fixture.pay_hold(&hold, Some(("one", 2))).await, Paid::Mismatch);
    fixture.apply(&first, BookingStatus::Declined).await;
    let before = Paid::Before(first.booking_id.clone());
    for key in ["one", "two"] {
        assert_eq!(fixture.pay_hold(&hold, Some((key, 1))).await, before);
    }
    let Paid::Begun(second) = fixture.pay_hold(&hold, Some(("three", 1))).await else {
        panic!("another key tries again");
    };
    assert_eq!(second.attempt, 2);
    assert_eq!(fixture.pay_hold(&hold, Some(("one", 1))).await, before);
    fixture.confirm(&second).await;
    assert_eq!(fixture.pay_hold(&hold, Some(("one", 1))).await, before);
    assert_eq!(fixture.pay_hold(&hold, Some(("three", 2))).await, Paid::Mismatch);
}

/// Whoever joins a booking that is over by now begins nothing, and its key stays unused.
async fn joins(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let hold = held(fixture.lock(&fixture.account(), &[0]).await);
    let first = fixture.begun(&hold).await;
    fixture.apply(&first, BookingStatus::Declined).await;
    let declined = fixture.hold(&hold).await;
    let before = Paid::Before(first.booking_id.clone());
    assert_eq!(fixture.join(&hold, ("late", 1), &first.booking_id).await, before);
    assert_eq!(fixture.hold(&hold).await, declined, "nothing was begun");
    let Paid::Begun(second) = fixture.pay_hold(&hold, Some(("next", 1))).await else {
        panic!("the hold can be paid again");
    };
    let live = Paid::Live { command: second, keyed: false };
    assert_eq!(fixture.join(&hold, ("late", 1), &first.booking_id).await, live);
    assert_eq!(fixture.pay_hold(&hold, Some(("late", 2))).await, live, "bound to nothing");
}

/// A key stands for one booking of its account, whichever hold or place it comes with.
async fn one_key_one_booking(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    let hold = held(fixture.lock(&ann, &[0]).await);
    let by_place = |body| fixture.pay(&ann, BookTarget::Place(0), Some(("key", body)));
    let Paid::Begun(first) = by_place(1).await else { panic!("a new key begins a payment") };
    let other = held(fixture.lock(&ann, &[1]).await);
    assert_eq!(fixture.pay_hold(&other, Some(("key", 2))).await, Paid::Mismatch);
    let live = Paid::Live { command: first.clone(), keyed: true };
    assert_eq!(fixture.pay_hold(&other, Some(("key", 1))).await, live);
    assert_eq!(fixture.hold(&other).await, other, "nothing is begun");
    fixture.apply(&first, BookingStatus::Expired).await;
    let before = Paid::Before(first.booking_id.clone());
    assert_eq!(by_place(1).await, before, "nobody has the place");
    let again = held(fixture.lock(&ann, &[0]).await);
    assert_ne!(again.id, hold.id);
    assert_eq!(by_place(1).await, before, "the place is in another hold");
    assert_eq!(by_place(2).await, Paid::Mismatch);
    fixture.release(&again, &ann).await;
    let bobs = held(fixture.lock(&bob, &[0]).await);
    assert_eq!(by_place(1).await, before, "the place is somebody else's");
    let Paid::Begun(_) = fixture.pay_hold(&bobs, Some(("key", 3))).await else {
        panic!("another account's keys are its own");
    };
    // A payment that is taken back takes its key along.
    let Paid::Begun(taken) = fixture.pay_hold(&other, Some(("two", 1))).await else {
        panic!("a new key begins a payment");
    };
    assert!(fixture.unpay(&taken.booking_id).await);
    let next = held(fixture.lock(&ann, &[2]).await);
    let Paid::Begun(_) = fixture.pay_hold(&next, Some(("two", 2))).await else {
        panic!("the key was given back");
    };
}

/// Only an outcome moves `Paying`; past its deadline the command is leased once a deadline length.
async fn never_freed_while_paying(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let hold = held(fixture.lock(&fixture.account(), &[0]).await);
    let command = fixture.begun(&hold).await;
    let length = fixture.event.terms.payment_deadline_seconds;
    assert_eq!(command.deadline, fixture.clock.now().plus_seconds(length));
    fixture.wait_millis(i64::from(length) * 1_000 - 1);
    assert!(fixture.sweep().await.overdue.is_empty());
    fixture.wait_millis(1);
    for _ in 0..3 {
        assert_eq!(fixture.sweep().await.overdue, std::slice::from_ref(&command));
        assert!(fixture.sweep().await.overdue.is_empty());
        fixture.wait_seconds(length);
    }
    fixture.wait_seconds(fixture.event.terms.hold_ttl_seconds * 10);
    assert_eq!(fixture.drawn(0..1).await, "p");
    assert_eq!(fixture.apply(&command, BookingStatus::Expired).await, Applied::Done);
    assert_eq!(fixture.drawn(0..1).await, ".");
}

/// A command that was never appended is taken back, unless somebody else may have appended it.
async fn taken_back(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let hold = held(fixture.lock(&fixture.account(), &[0]).await);
    let Paid::Begun(command) = fixture.pay_hold(&hold, Some(("key", 1))).await else {
        panic!("a new key begins a payment");
    };
    assert!(fixture.unpay(&command.booking_id).await);
    assert!(!fixture.unpay(&command.booking_id).await);
    assert_eq!(fixture.hold(&hold).await, hold, "as if it had never been");
    let again = fixture.begun(&hold).await;
    fixture.pay_hold(&hold, None).await;
    assert!(!fixture.unpay(&again.booking_id).await);
    assert_eq!(fixture.drawn(0..1).await, "p");
}

/// A place names the hold that contains it.
async fn targets(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    let hold = held(fixture.lock(&ann, &[0, 1]).await);
    assert_eq!(fixture.pay(&bob, BookTarget::Place(1), None).await, Paid::NotHolder);
    assert_eq!(fixture.pay(&bob, BookTarget::Hold(hold.id.clone()), None).await, Paid::NotHolder);
    assert_eq!(fixture.pay(&ann, BookTarget::Place(2), None).await, Paid::Expired);
    assert_eq!(fixture.pay(&ann, BookTarget::Place(10_000), None).await, Paid::NotFound);
    let unknown = fixture.ids.hold(&fixture.event.id, fixture.clock.now());
    assert_eq!(fixture.pay(&ann, BookTarget::Hold(unknown), None).await, Paid::NotFound);
    let Paid::Begun(command) = fixture.pay(&ann, BookTarget::Place(1), None).await else {
        panic!("the hold that contains the place is paid");
    };
    assert_eq!(command.hold_id, hold.id);
    fixture.confirm(&command).await;
    let bought = Paid::Before(command.booking_id.clone());
    assert_eq!(fixture.pay(&ann, BookTarget::Place(0), None).await, bought);
    assert_eq!(fixture.pay(&bob, BookTarget::Place(0), None).await, Paid::NotHolder);
    let late = held(fixture.lock(&bob, &[5]).await);
    fixture.wait_seconds(fixture.event.terms.hold_ttl_seconds);
    assert_eq!(fixture.pay_hold(&late, None).await, Paid::Expired);
}

/// A live claim wins; without one only what names the booking is freed.
async fn reloads(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    let hold = held(fixture.lock(&ann, &[0, 1]).await);
    let command = fixture.begun(&hold).await;
    let other = held(fixture.lock(&bob, &[2, 3]).await);
    let stranger = BookingId::of_attempt(&other.id, 7);
    fixture
        .reload(&[(0, Truth::Unclaimed(stranger.clone())), (2, Truth::Unclaimed(stranger))])
        .await;
    assert_eq!(fixture.drawn(0..4).await, "pphh", "another's states stay");
    fixture.reload(&[(2, Truth::Sold(command.booking_id.clone(), ann.clone()))]).await;
    assert_eq!(fixture.drawn(2..4).await, "s.", "a hold loses all of its places or none");
    assert_eq!(fixture.pay_hold(&other, None).await, Paid::Expired);
    fixture.reload(&[(0, Truth::Unclaimed(command.booking_id.clone()))]).await;
    fixture.reload(&[(2, Truth::Unclaimed(command.booking_id.clone()))]).await;
    assert_eq!(fixture.drawn(0..4).await, "....");
    fixture.reload(&[(0, Truth::Paying(Box::new(command.clone())))]).await;
    assert_eq!(fixture.drawn(0..2).await, "pp", "the claim's whole booking is being paid");
    fixture.confirm(&command).await;
    assert_eq!(fixture.drawn(0..2).await, "ss");
}
