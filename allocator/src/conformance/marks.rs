//! Marks, loss and recovery: a copy answers under its own mark only, and what is loaded is there.
use super::{House, held};
use crate::store::{Find, Loaded, Lock, Marked, Pay, SeatStore, SeatsCopy};
use crate::{BookTarget, HoldRecord, HoldState, Wish};
use ledger::{Booking, BookingId, BookingOutcome, PaymentToken};
use std::sync::Arc;

pub(super) async fn all(store: Arc<dyn SeatStore>) {
    lost(store.clone()).await;
    newest_mark_wins(store.clone()).await;
    loaded(store).await;
}

/// Without a copy under the mark that is asked for, every question answers so.
async fn lost(store: Arc<dyn SeatStore>) {
    let mut house = House::closed(store.clone());
    every_question_is_lost(&house).await;
    assert_eq!(house.load(SeatsCopy::default()).await, Loaded::Swapped);
    held(house.lock(&house.account(), &[0]).await);
    for generation in [0, 2] {
        house.generation = generation;
        every_question_is_lost(&house).await;
    }
}

async fn every_question_is_lost(house: &House) {
    let (store, at, account) = (&house.store, house.at(), house.account());
    let hold = house.ids.hold(&house.event.id, at.now);
    let booking = BookingId::of_attempt(&hold, 1);
    let wish = Wish::Places(vec![0]);
    let ask = Lock { account: account.clone(), slot: None, wish, key: None, minted: hold.clone() };
    let payment_token = PaymentToken::parse("tok_good").expect("a valid token");
    let target = BookTarget::Hold(hold.clone());
    let pay = Pay { account: account.clone(), target, payment_token, key: None, joins: None };
    let command = command_of(house, &hold_of(house, &[0]));
    let outcome = BookingOutcome { booking: Booking::placed(&command), slot: None };
    let ok = "the store answers";
    assert_eq!(store.lock(&at, &ask).await.expect(ok), Marked::Lost);
    assert_eq!(store.release(&at, &hold, &account).await.expect(ok), Marked::Lost);
    assert_eq!(store.pay(&at, &pay).await.expect(ok), Marked::Lost);
    assert_eq!(store.unpay(&at, &booking).await.expect(ok), Marked::Lost);
    assert_eq!(store.apply(&at, &outcome).await.expect(ok), Marked::Lost);
    assert_eq!(store.reload(&at, &[]).await.expect(ok), Marked::Lost);
    assert_eq!(store.sweep(&at, 10).await.expect(ok), Marked::Lost);
    assert_eq!(store.find(&at, &Find::Hold(hold)).await.expect(ok), Marked::Lost);
    assert_eq!(store.snapshot(&at).await.expect(ok), Marked::Lost);
}

/// A recovery that comes late does not undo a later one; versions grow over both.
async fn newest_mark_wins(store: Arc<dyn SeatStore>) {
    let first = House::open(store.clone()).await;
    held(first.lock(&first.account(), &[0]).await);
    let version = first.snapshot().await.version;
    let second = first.on(store, 2);
    assert_eq!(second.load(SeatsCopy::default()).await, Loaded::Swapped);
    assert_eq!(second.load(SeatsCopy::default()).await, Loaded::Kept);
    assert_eq!(first.load(SeatsCopy::default()).await, Loaded::Kept);
    assert_eq!(second.drawn(0..2).await, "..");
    assert!(second.snapshot().await.version > version);
}

/// Sales first, then holds in turn; a hold that does not get all its places is left out, and one
/// that expired meanwhile is over.
async fn loaded(store: Arc<dyn SeatStore>) {
    let house = House::closed(store);
    let (ann, bob) = (house.account(), house.account());
    let sale = BookingId::of_attempt(&house.ids.hold(&house.event.id, house.clock.now()), 1);
    let (whole, torn) = (hold_of(&house, &[2, 3]), hold_of(&house, &[1, 4]));
    let mut gone = hold_of(&house, &[8]);
    gone.until = house.clock.now();
    let command = command_of(&house, &hold_of(&house, &[6]));
    let paying = HoldRecord::of_command(&command, &house.event.layout);
    let copy = SeatsCopy {
        sold: vec![(0, sale.clone(), ann), (1, sale, bob)],
        holds: vec![paying.clone(), whole.clone(), torn, gone],
    };
    assert_eq!(house.load(copy).await, Loaded::Swapped);
    assert_eq!(house.drawn(0..10).await, "sshh..p...");
    assert_eq!(house.hold(&whole).await, whole);
    assert_eq!(house.hold(&paying).await, paying);
    house.confirm(&command).await;
    assert_eq!(house.drawn(6..7).await, "s");
}

fn hold_of(house: &House, places: &[u32]) -> HoldRecord {
    let now = house.clock.now();
    HoldRecord {
        id: house.ids.hold(&house.event.id, now),
        account: house.account(),
        slot: None,
        places: places.to_vec(),
        prices: vec![4_500; places.len()],
        until: now.plus_seconds(300),
        attempts: 0,
        lock_keys: Vec::new(),
        book_keys: Vec::new(),
        state: HoldState::Held,
    }
}

fn command_of(house: &House, hold: &HoldRecord) -> ledger::PlaceBooking {
    let token = PaymentToken::parse("tok_good").expect("a valid token");
    let mut hold = hold.clone();
    hold.begin_payment(&house.event, token, house.clock.now());
    let command = hold.payment().map(|payment| (*payment.command).clone());
    command.expect("a payment was begun")
}
