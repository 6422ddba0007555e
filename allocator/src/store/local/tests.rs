//! The embedded seat store against the suite, through crashes, and with a journal that fails.
use super::*;
use crate::conformance::{self, House};
use crate::store::Truth;
use ledger::BookingStatus;
use ledger::conformance::TestLedger;
use ledger_sqlite::testing::sqlite_ledger;
use std::sync::atomic::{AtomicBool, Ordering};

fn store(journal: Arc<dyn SeatJournal>) -> Arc<dyn SeatStore> {
    Arc::new(LocalSeatStore::new(journal))
}

/// A process that starts on the journal that another one left.
async fn restarted(ledger: &TestLedger, house: &House) -> House {
    let house = house.on(store(ledger.journal.clone()), house.generation + 1);
    let holds = house.kept(house.generation).await;
    house.load(SeatsCopy { sold: Vec::new(), holds }).await;
    house
}

fn held(answer: Locked) -> HoldRecord {
    let Locked::Held(record) = answer else { panic!("expected a hold, got {answer:?}") };
    *record
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let ledger = sqlite_ledger().await;
    conformance::all(store(ledger.journal.clone())).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let ledger = sqlite_ledger().await;
    let house = House::open(store(ledger.journal.clone())).await;
    let (ann, bob) = (house.account(), house.account());
    let plain = held(house.lock(&ann, &[0, 1]).await);
    let keyed = held(house.lock_keyed(&bob, &[2], ("k", 1)).await);
    let released = held(house.lock(&ann, &[4]).await);
    house.release(&released, &ann).await;
    let over = held(house.lock_keyed(&ann, &[5], ("over", 1)).await);
    house.release(&over, &ann).await;
    let command = house.begun(&keyed).await;
    let floor = House::FLOOR;
    let sold = held(house.lock(&bob, &[floor]).await);
    let bought = house.begun(&sold).await;
    house.confirm(&bought).await;

    let house = restarted(&ledger, &house).await;
    assert_eq!(house.drawn(0..6).await, "hhp...");
    assert_eq!(house.hold(&plain).await, plain);
    assert_eq!(held(house.lock_keyed(&bob, &[2], ("k", 1)).await).id, keyed.id);
    assert_eq!(house.lock_keyed(&ann, &[5], ("over", 1)).await, Locked::Expired);
    assert_eq!(house.pay_hold(&sold, None).await, Paid::Before(bought.booking_id));
    assert_eq!(house.apply(&command, BookingStatus::Declined).await, Applied::Done);

    house.wait_seconds(1_000);
    let house = restarted(&ledger, &house).await;
    assert_eq!(house.drawn(0..6).await, "......");
    assert!(house.kept(0).await.iter().all(|hold| !hold.is_live()));
    assert_eq!(house.lock_keyed(&bob, &[2], ("k", 1)).await, Locked::Expired);
}

#[tokio::test]
async fn a_reload_is_journalled_too() {
    let ledger = sqlite_ledger().await;
    let house = House::open(store(ledger.journal.clone())).await;
    let hold = held(house.lock(&house.account(), &[0, 1]).await);
    let command = house.begun(&hold).await;
    house.reload(&[(0, Truth::Unclaimed(command.booking_id))]).await;
    let house = restarted(&ledger, &house).await;
    assert_eq!(house.drawn(0..2).await, "..");
}

/// A journal that can be told to fail.
struct Failing {
    inner: Arc<dyn SeatJournal>,
    fails: AtomicBool,
}

#[async_trait]
impl SeatJournal for Failing {
    fn append(&self, entries: Vec<JournalEntry>) -> JournalReceipt {
        if self.fails.load(Ordering::Relaxed) {
            let error = StoreError::unavailable("journalling holds", "told to fail");
            return Box::pin(std::future::ready(Err(error)));
        }
        self.inner.append(entries)
    }

    async fn read(&self, event: &EventId) -> Result<Vec<String>, StoreError> {
        self.inner.read(event).await
    }
}

#[tokio::test]
async fn a_journal_that_fails_loses_the_copy_and_nothing_acknowledged() {
    let ledger = sqlite_ledger().await;
    let inner = ledger.journal.clone();
    let journal = Arc::new(Failing { inner, fails: AtomicBool::new(false) });
    let house = House::open(store(journal.clone())).await;
    let (ann, bob) = (house.account(), house.account());
    let hold = held(house.lock(&ann, &[0]).await);

    journal.fails.store(true, Ordering::Relaxed);
    let minted = house.ids.hold(&house.event.id, house.clock.now());
    let wish = crate::Wish::Places(vec![1]);
    let ask = Lock { account: bob.clone(), slot: None, wish, key: None, minted };
    let refused = house.store.lock(&house.at(), &ask).await;
    assert!(refused.is_err_and(|error| error.is_retryable()));
    assert_eq!(house.store.snapshot(&house.at()).await.unwrap(), Marked::Lost);
    assert!(house.store.kept(&house.event, 2).await.is_err(), "no recovery without a journal");

    journal.fails.store(false, Ordering::Relaxed);
    let house = restarted(&ledger, &house).await;
    assert_eq!(house.drawn(0..2).await, "h.");
    assert_eq!(house.hold(&hold).await, hold);
}
