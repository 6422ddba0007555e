//! Payments and their outcomes: expected states, replays, retries, and what is never freed.
use super::{House, held};
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
    let house = House::open(store).await;
    let hold = held(house.lock(&house.account(), &[0, 1]).await);
    let command = house.begun(&hold).await;
    assert_eq!(command.booking_id, BookingId::of_attempt(&hold.id, 1));
    assert_eq!((command.items.len(), command.total.minor), (2, 9_000));
    assert_eq!(house.drawn(0..3).await, "pp.");
    assert_eq!(house.release(&hold, &hold.account).await, ReleaseAnswer::Paying);
    assert_eq!(house.apply(&command, BookingStatus::Processing).await, Applied::Already);
    assert_eq!(house.apply(&command, BookingStatus::Confirmed).await, Applied::Done);
    assert_eq!(house.apply(&command, BookingStatus::Confirmed).await, Applied::Already);
    assert_eq!(house.drawn(0..3).await, "ss.");
    let before = Paid::Before(command.booking_id.clone());
    assert_eq!(house.pay_hold(&hold, None).await, before, "what bought it answers for it");
    assert_eq!(house.apply(&command, BookingStatus::RefundPending).await, Applied::Done);
    assert_eq!(house.apply(&command, BookingStatus::Refunded).await, Applied::Already);
    assert_eq!(house.drawn(0..3).await, "...");
    let next = held(house.lock(&house.account(), &[0, 1]).await);
    // An old outcome that comes again must not touch the next holder's seats.
    assert_eq!(house.apply(&command, BookingStatus::RefundPending).await, Applied::Already);
    assert_eq!(house.apply(&command, BookingStatus::Confirmed).await, Applied::Unexpected);
    assert_eq!(house.hold(&next).await, next);
}

/// A decline gives the seats back to the same hold, with at least two minutes; the last frees them.
async fn declines(store: Arc<dyn SeatStore>) {
    let house = House::open(store).await;
    let mut hold = held(house.lock(&house.account(), &[0]).await);
    house.wait_millis(hold.until.millis_since(house.clock.now()) - 1);
    for attempt in 1..=ATTEMPTS_MAX {
        let command = house.begun(&hold).await;
        assert_eq!(command.attempt, attempt);
        assert_eq!(house.apply(&command, BookingStatus::Declined).await, Applied::Done);
        assert_eq!(house.apply(&command, BookingStatus::Declined).await, Applied::Already);
        if attempt < ATTEMPTS_MAX {
            assert_eq!(house.drawn(0..1).await, "h");
            hold = house.hold(&hold).await;
            assert_eq!(hold.until, house.clock.now().plus_seconds(120));
        }
    }
    assert_eq!(house.drawn(0..1).await, ".");
    assert_eq!(house.pay_hold(&hold, None).await, Paid::Expired);
}

/// The key names what it made, also when that was declined since.
async fn keys(store: Arc<dyn SeatStore>) {
    let house = House::open(store).await;
    let hold = held(house.lock(&house.account(), &[0]).await);
    let Paid::Begun(first) = house.pay_hold(&hold, Some(("one", 1))).await else {
        panic!("a new key begins a payment");
    };
    let live = |keyed| Paid::Live { command: first.clone(), keyed };
    assert_eq!(house.pay_hold(&hold, Some(("one", 1))).await, live(true));
    assert_eq!(house.pay_hold(&hold, Some(("two", 1))).await, live(false));
    assert_eq!(house.join(&hold, ("two", 1), &first.booking_id).await, live(false));
    // Not bound: nobody said that the booking is undecided.
    assert_eq!(house.pay_hold(&hold, Some(("three", 1))).await, live(false));
    assert_eq!(house.pay_hold(&hold, Some(("one", 2))).await, Paid::Mismatch);
    house.apply(&first, BookingStatus::Declined).await;
    let before = Paid::Before(first.booking_id.clone());
    for key in ["one", "two"] {
        assert_eq!(house.pay_hold(&hold, Some((key, 1))).await, before);
    }
    let Paid::Begun(second) = house.pay_hold(&hold, Some(("three", 1))).await else {
        panic!("another key tries again");
    };
    assert_eq!(second.attempt, 2);
    assert_eq!(house.pay_hold(&hold, Some(("one", 1))).await, before);
    house.confirm(&second).await;
    assert_eq!(house.pay_hold(&hold, Some(("one", 1))).await, before);
    assert_eq!(house.pay_hold(&hold, Some(("three", 2))).await, Paid::Mismatch);
}

/// Whoever joins a booking that is over by now begins nothing, and its key stays unused.
async fn joins(store: Arc<dyn SeatStore>) {
    let house = House::open(store).await;
    let hold = held(house.lock(&house.account(), &[0]).await);
    let first = house.begun(&hold).await;
    house.apply(&first, BookingStatus::Declined).await;
    let declined = house.hold(&hold).await;
    let before = Paid::Before(first.booking_id.clone());
    assert_eq!(house.join(&hold, ("late", 1), &first.booking_id).await, before);
    assert_eq!(house.hold(&hold).await, declined, "nothing was begun");
    let Paid::Begun(second) = house.pay_hold(&hold, Some(("next", 1))).await else {
        panic!("the hold can be paid again");
    };
    let live = Paid::Live { command: second, keyed: false };
    assert_eq!(house.join(&hold, ("late", 1), &first.booking_id).await, live);
    assert_eq!(house.pay_hold(&hold, Some(("late", 2))).await, live, "bound to nothing");
}

/// A key stands for one booking of its account, whichever hold or place it comes with.
async fn one_key_one_booking(store: Arc<dyn SeatStore>) {
    let house = House::open(store).await;
    let (ann, bob) = (house.account(), house.account());
    let hold = held(house.lock(&ann, &[0]).await);
    let by_place = |body| house.pay(&ann, BookTarget::Place(0), Some(("key", body)));
    let Paid::Begun(first) = by_place(1).await else { panic!("a new key begins a payment") };
    let other = held(house.lock(&ann, &[1]).await);
    assert_eq!(house.pay_hold(&other, Some(("key", 2))).await, Paid::Mismatch);
    let live = Paid::Live { command: first.clone(), keyed: true };
    assert_eq!(house.pay_hold(&other, Some(("key", 1))).await, live);
    assert_eq!(house.hold(&other).await, other, "nothing is begun");
    house.apply(&first, BookingStatus::Expired).await;
    let before = Paid::Before(first.booking_id.clone());
    assert_eq!(by_place(1).await, before, "nobody has the place");
    let again = held(house.lock(&ann, &[0]).await);
    assert_ne!(again.id, hold.id);
    assert_eq!(by_place(1).await, before, "the place is in another hold");
    assert_eq!(by_place(2).await, Paid::Mismatch);
    house.release(&again, &ann).await;
    let bobs = held(house.lock(&bob, &[0]).await);
    assert_eq!(by_place(1).await, before, "the place is somebody else's");
    let Paid::Begun(_) = house.pay_hold(&bobs, Some(("key", 3))).await else {
        panic!("another account's keys are its own");
    };
    // A payment that is taken back takes its key along.
    let Paid::Begun(taken) = house.pay_hold(&other, Some(("two", 1))).await else {
        panic!("a new key begins a payment");
    };
    assert!(house.unpay(&taken.booking_id).await);
    let next = held(house.lock(&ann, &[2]).await);
    let Paid::Begun(_) = house.pay_hold(&next, Some(("two", 2))).await else {
        panic!("the key was given back");
    };
}

/// Only an outcome moves `Paying`; past its deadline the command is leased once a deadline length.
async fn never_freed_while_paying(store: Arc<dyn SeatStore>) {
    let house = House::open(store).await;
    let hold = held(house.lock(&house.account(), &[0]).await);
    let command = house.begun(&hold).await;
    let length = house.event.terms.payment_deadline_seconds;
    assert_eq!(command.deadline, house.clock.now().plus_seconds(length));
    house.wait_millis(i64::from(length) * 1_000 - 1);
    assert!(house.sweep().await.overdue.is_empty());
    house.wait_millis(1);
    for _ in 0..3 {
        assert_eq!(house.sweep().await.overdue, std::slice::from_ref(&command));
        assert!(house.sweep().await.overdue.is_empty());
        house.wait_seconds(length);
    }
    house.wait_seconds(house.event.terms.hold_ttl_seconds * 10);
    assert_eq!(house.drawn(0..1).await, "p");
    assert_eq!(house.apply(&command, BookingStatus::Expired).await, Applied::Done);
    assert_eq!(house.drawn(0..1).await, ".");
}

/// A command that was never appended is taken back, unless somebody else may have appended it.
async fn taken_back(store: Arc<dyn SeatStore>) {
    let house = House::open(store).await;
    let hold = held(house.lock(&house.account(), &[0]).await);
    let Paid::Begun(command) = house.pay_hold(&hold, Some(("key", 1))).await else {
        panic!("a new key begins a payment");
    };
    assert!(house.unpay(&command.booking_id).await);
    assert!(!house.unpay(&command.booking_id).await);
    assert_eq!(house.hold(&hold).await, hold, "as if it had never been");
    let again = house.begun(&hold).await;
    house.pay_hold(&hold, None).await;
    assert!(!house.unpay(&again.booking_id).await);
    assert_eq!(house.drawn(0..1).await, "p");
}

/// A place names the hold that contains it.
async fn targets(store: Arc<dyn SeatStore>) {
    let house = House::open(store).await;
    let (ann, bob) = (house.account(), house.account());
    let hold = held(house.lock(&ann, &[0, 1]).await);
    assert_eq!(house.pay(&bob, BookTarget::Place(1), None).await, Paid::NotHolder);
    assert_eq!(house.pay(&bob, BookTarget::Hold(hold.id.clone()), None).await, Paid::NotHolder);
    assert_eq!(house.pay(&ann, BookTarget::Place(2), None).await, Paid::Expired);
    assert_eq!(house.pay(&ann, BookTarget::Place(10_000), None).await, Paid::NotFound);
    let unknown = house.ids.hold(&house.event.id, house.clock.now());
    assert_eq!(house.pay(&ann, BookTarget::Hold(unknown), None).await, Paid::NotFound);
    let Paid::Begun(command) = house.pay(&ann, BookTarget::Place(1), None).await else {
        panic!("the hold that contains the place is paid");
    };
    assert_eq!(command.hold_id, hold.id);
    house.confirm(&command).await;
    let bought = Paid::Before(command.booking_id.clone());
    assert_eq!(house.pay(&ann, BookTarget::Place(0), None).await, bought);
    assert_eq!(house.pay(&bob, BookTarget::Place(0), None).await, Paid::NotHolder);
    let late = held(house.lock(&bob, &[5]).await);
    house.wait_seconds(house.event.terms.hold_ttl_seconds);
    assert_eq!(house.pay_hold(&late, None).await, Paid::Expired);
}

/// Rule 10: a live claim wins; without one only what names the booking is freed.
async fn reloads(store: Arc<dyn SeatStore>) {
    let house = House::open(store).await;
    let (ann, bob) = (house.account(), house.account());
    let hold = held(house.lock(&ann, &[0, 1]).await);
    let command = house.begun(&hold).await;
    let other = held(house.lock(&bob, &[2, 3]).await);
    let stranger = BookingId::of_attempt(&other.id, 7);
    house.reload(&[(0, Truth::Unclaimed(stranger.clone())), (2, Truth::Unclaimed(stranger))]).await;
    assert_eq!(house.drawn(0..4).await, "pphh", "another's states stay");
    house.reload(&[(2, Truth::Sold(command.booking_id.clone(), ann.clone()))]).await;
    assert_eq!(house.drawn(2..4).await, "s.", "a hold loses all of its places or none");
    assert_eq!(house.pay_hold(&other, None).await, Paid::Expired);
    house.reload(&[(0, Truth::Unclaimed(command.booking_id.clone()))]).await;
    house.reload(&[(2, Truth::Unclaimed(command.booking_id.clone()))]).await;
    assert_eq!(house.drawn(0..4).await, "....");
    house.reload(&[(0, Truth::Paying(Box::new(command.clone())))]).await;
    assert_eq!(house.drawn(0..2).await, "pp", "the claim's whole booking is being paid");
    house.confirm(&command).await;
    assert_eq!(house.drawn(0..2).await, "ss");
}
