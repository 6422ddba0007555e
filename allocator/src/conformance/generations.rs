//! Loss and recovery: a copy answers under its own generation only, and what is loaded is there.
use super::{Fixture, held};
use crate::store::{Find, LoadOutcome, Lock, Pay, SeatStore, SeatsCopy};
use crate::{BookTarget, HoldRecord, HoldState, Wish};
use ledger::{Booking, BookingId, BookingOutcome, Fenced, PaymentToken};
use std::sync::Arc;

pub(super) async fn all(store: Arc<dyn SeatStore>) {
    lost(store.clone()).await;
    newest_generation_wins(store.clone()).await;
    loaded(store).await;
}

/// Without a copy of the generation that the caller names, every call answers so.
async fn lost(store: Arc<dyn SeatStore>) {
    let mut fixture = Fixture::closed(store.clone());
    every_call_is_lost(&fixture).await;
    assert_eq!(fixture.load(SeatsCopy::default()).await, LoadOutcome::Swapped);
    held(fixture.lock(&fixture.account(), &[0]).await);
    for generation in [0, 2] {
        fixture.generation = generation;
        every_call_is_lost(&fixture).await;
    }
}

async fn every_call_is_lost(fixture: &Fixture) {
    let (store, at, account) = (&fixture.store, fixture.at(), fixture.account());
    let hold = fixture.ids.hold(&fixture.event.id, at.now);
    let booking = BookingId::of_attempt(&hold, 1);
    let wish = Wish::Places(vec![0]);
    let request =
        Lock { account: account.clone(), slot: None, wish, key: None, minted: hold.clone() };
    let payment_token = PaymentToken::parse("tok_good").expect("a valid token");
    let target = BookTarget::Hold(hold.clone());
    let pay = Pay { account: account.clone(), target, payment_token, key: None, joins: None };
    let command = command_of(fixture, &hold_of(fixture, &[0]));
    let outcome = BookingOutcome { booking: Booking::placed(&command), slot: None };
    let ok = "the store answers";
    assert_eq!(store.lock(&at, &request).await.expect(ok), Fenced::Lost);
    assert_eq!(store.release(&at, &hold, &account).await.expect(ok), Fenced::Lost);
    assert_eq!(store.pay(&at, &pay).await.expect(ok), Fenced::Lost);
    assert_eq!(store.unpay(&at, &booking).await.expect(ok), Fenced::Lost);
    assert_eq!(store.apply(&at, &outcome).await.expect(ok), Fenced::Lost);
    assert_eq!(store.reload(&at, &[]).await.expect(ok), Fenced::Lost);
    assert_eq!(store.sweep(&at, 10).await.expect(ok), Fenced::Lost);
    assert_eq!(store.find(&at, &Find::Hold(hold)).await.expect(ok), Fenced::Lost);
    assert_eq!(store.snapshot(&at).await.expect(ok), Fenced::Lost);
}

/// A recovery that comes late does not undo a later one; versions grow over both.
async fn newest_generation_wins(store: Arc<dyn SeatStore>) {
    let first = Fixture::open(store.clone()).await;
    held(first.lock(&first.account(), &[0]).await);
    let version = first.snapshot().await.version;
    let second = first.on(store, 2);
    assert_eq!(second.load(SeatsCopy::default()).await, LoadOutcome::Swapped);
    assert_eq!(second.load(SeatsCopy::default()).await, LoadOutcome::NotNewer);
    assert_eq!(first.load(SeatsCopy::default()).await, LoadOutcome::NotNewer);
    assert_eq!(second.drawn(0..2).await, "..");
    assert!(second.snapshot().await.version > version);
}

/// Sales first, then holds in turn; a hold that does not get all its places is left out, and one
/// that expired meanwhile is over.
async fn loaded(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::closed(store);
    let (ann, bob) = (fixture.account(), fixture.account());
    let sale = BookingId::of_attempt(&fixture.ids.hold(&fixture.event.id, fixture.clock.now()), 1);
    let (whole, torn) = (hold_of(&fixture, &[2, 3]), hold_of(&fixture, &[1, 4]));
    let mut gone = hold_of(&fixture, &[8]);
    gone.until = fixture.clock.now();
    let command = command_of(&fixture, &hold_of(&fixture, &[6]));
    let paying = HoldRecord::of_command(&command, &fixture.event.layout);
    let copy = SeatsCopy {
        sold: vec![(0, sale.clone(), ann), (1, sale, bob)],
        holds: vec![paying.clone(), whole.clone(), torn, gone],
    };
    assert_eq!(fixture.load(copy).await, LoadOutcome::Swapped);
    assert_eq!(fixture.drawn(0..10).await, "sshh..p...");
    assert_eq!(fixture.hold(&whole).await, whole);
    assert_eq!(fixture.hold(&paying).await, paying);
    fixture.confirm(&command).await;
    assert_eq!(fixture.drawn(6..7).await, "s");
}

fn hold_of(fixture: &Fixture, places: &[u32]) -> HoldRecord {
    let now = fixture.clock.now();
    HoldRecord {
        id: fixture.ids.hold(&fixture.event.id, now),
        account: fixture.account(),
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

fn command_of(fixture: &Fixture, hold: &HoldRecord) -> ledger::PlaceBooking {
    let token = PaymentToken::parse("tok_good").expect("a valid token");
    let mut hold = hold.clone();
    hold.begin_payment(&fixture.event, token, fixture.clock.now());
    let command = hold.payment().map(|payment| (*payment.command).clone());
    command.expect("a payment was begun")
}
