//! The embedded seat store against the suite, through crashes, and with a journal that fails.
use super::*;
use crate::conformance::{self, Fixture};
use crate::store::{SeatStore, Truth};
use ledger::conformance::TestLedger;
use ledger::{BookingStatus, Fenced};
use ledger_sqlite::testing::sqlite_ledger;
use std::sync::atomic::{AtomicBool, Ordering};

fn store(journal: Arc<dyn SeatJournal>) -> Arc<dyn SeatStore> {
    Arc::new(LocalSeatStore::new(journal))
}

/// A process that starts on the journal that another one left.
async fn restarted(ledger: &TestLedger, fixture: &Fixture) -> Fixture {
    let fixture = fixture.on(store(ledger.journal.clone()), fixture.generation + 1);
    let holds = fixture.surviving_holds(fixture.generation).await;
    fixture.load(SeatsCopy { sold: Vec::new(), holds }).await;
    fixture
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
    let fixture = Fixture::open(store(ledger.journal.clone())).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    let plain = held(fixture.lock(&ann, &[0, 1]).await);
    let keyed = held(fixture.lock_keyed(&bob, &[2], ("k", 1)).await);
    let released = held(fixture.lock(&ann, &[4]).await);
    fixture.release(&released, &ann).await;
    let over = held(fixture.lock_keyed(&ann, &[5], ("over", 1)).await);
    fixture.release(&over, &ann).await;
    let command = fixture.begun(&keyed).await;
    let floor = Fixture::FLOOR;
    let sold = held(fixture.lock(&bob, &[floor]).await);
    let bought = fixture.begun(&sold).await;
    fixture.confirm(&bought).await;

    let fixture = restarted(&ledger, &fixture).await;
    assert_eq!(fixture.drawn(0..6).await, "hhp...");
    assert_eq!(fixture.hold(&plain).await, plain);
    assert_eq!(held(fixture.lock_keyed(&bob, &[2], ("k", 1)).await).id, keyed.id);
    assert_eq!(fixture.lock_keyed(&ann, &[5], ("over", 1)).await, Locked::Expired);
    assert_eq!(fixture.pay_hold(&sold, None).await, Paid::Before(bought.booking_id));
    assert_eq!(fixture.apply(&command, BookingStatus::Declined).await, Applied::Done);

    fixture.wait_seconds(1_000);
    let fixture = restarted(&ledger, &fixture).await;
    assert_eq!(fixture.drawn(0..6).await, "......");
    assert!(fixture.surviving_holds(0).await.iter().all(|hold| !hold.is_live()));
    assert_eq!(fixture.lock_keyed(&bob, &[2], ("k", 1)).await, Locked::Expired);
}

#[tokio::test]
async fn a_reload_is_journalled_too() {
    let ledger = sqlite_ledger().await;
    let fixture = Fixture::open(store(ledger.journal.clone())).await;
    let hold = held(fixture.lock(&fixture.account(), &[0, 1]).await);
    let command = fixture.begun(&hold).await;
    fixture.reload(&[(0, Truth::Unclaimed(command.booking_id))]).await;
    let fixture = restarted(&ledger, &fixture).await;
    assert_eq!(fixture.drawn(0..2).await, "..");
}

/// A journal that fails on demand.
struct Failing {
    inner: Arc<dyn SeatJournal>,
    fails: AtomicBool,
}

#[async_trait]
impl SeatJournal for Failing {
    fn append(&self, entries: Vec<JournalEntry>) -> JournalReceipt {
        if self.fails.load(Ordering::Relaxed) {
            let error = StoreError::unavailable("journalling holds", "failing on demand");
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
    let fixture = Fixture::open(store(journal.clone())).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    let hold = held(fixture.lock(&ann, &[0]).await);

    journal.fails.store(true, Ordering::Relaxed);
    let minted = fixture.ids.hold(&fixture.event.id, fixture.clock.now());
    let wish = crate::Wish::Places(vec![1]);
    let request = Lock { account: bob.clone(), slot: None, wish, key: None, minted };
    let refused = fixture.store.lock(&fixture.at(), &request).await;
    assert!(refused.is_err_and(|error| error.is_retryable()));
    assert_eq!(fixture.store.snapshot(&fixture.at()).await.unwrap(), Fenced::Lost);
    assert!(
        fixture.store.surviving_holds(&fixture.event, 2).await.is_err(),
        "no recovery without a journal"
    );

    journal.fails.store(false, Ordering::Relaxed);
    let fixture = restarted(&ledger, &fixture).await;
    assert_eq!(fixture.drawn(0..2).await, "h.");
    assert_eq!(fixture.hold(&hold).await, hold);
}
