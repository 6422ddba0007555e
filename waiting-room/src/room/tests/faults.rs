//! Books that fail, before or after the effect: nobody loses a slot and nobody gets two.
use super::*;
use crate::ClaimAnswer;
use crate::SlotEnder;
use crate::store::{CopyRef, Grant, QueueStore, SlotAnswer, SlotRequest};
use async_trait::async_trait;
use ledger::books::{Admitted, Books, Leased, QueueRecord, QueueStep, Raised, StepCommitted};
use ledger::conformance::sample::{SampleEvent, consumer_config};
use ledger::{
    Admission, Booking, BookingOutcome, BookingStatus, Fenced, Group, Message, StoreError,
};
use std::sync::Mutex;
use tokio::sync::Barrier;

/// What goes wrong with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Refused,
    /// The effect happens, the reply is lost.
    ReplyLost,
    /// Nobody knows, and nothing happened.
    Unknown,
}

/// Admissions that fail where they are told to.
struct Faulty {
    inner: Books,
    admit: Mutex<Vec<Fault>>,
    step: Mutex<Vec<Fault>>,
    end: Mutex<Vec<Fault>>,
    /// So many ends must have come before one of them goes on.
    end_together: Mutex<Option<Arc<Barrier>>>,
    lease: Mutex<Vec<Fault>>,
}

impl Faulty {
    fn new(world: &mut World) -> Arc<Self> {
        let faulty = Arc::new(Self {
            inner: world.ledger.books.clone(),
            admit: Mutex::default(),
            step: Mutex::default(),
            end: Mutex::default(),
            end_together: Mutex::default(),
            lease: Mutex::default(),
        });
        world.restart_on(faulty.clone(), faulty.clone());
        faulty
    }
}

async fn failing<T>(
    faults: &Mutex<Vec<Fault>>,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let fault = faults.lock().unwrap().pop();
    match fault {
        None => call.await,
        Some(Fault::Refused) => Err(StoreError::unavailable("a test", "refused")),
        Some(Fault::ReplyLost) => {
            call.await?;
            Err(StoreError::unknown("a test", "the reply was lost"))
        }
        Some(Fault::Unknown) => Err(StoreError::unknown("a test", "nothing happened")),
    }
}

#[async_trait]
impl QueueProgress for Faulty {
    async fn record(&self, queue: &QueueId) -> Result<Option<QueueRecord>, StoreError> {
        self.inner.queue_progress.record(queue).await
    }

    async fn raise_generation(&self, queue: &QueueId, from: u64) -> Result<Raised, StoreError> {
        self.inner.queue_progress.raise_generation(queue, from).await
    }

    async fn lease(&self, queue: &QueueId, at: u64, count: u64) -> Result<Leased, StoreError> {
        failing(&self.lease, self.inner.queue_progress.lease(queue, at, count)).await
    }

    async fn step(
        &self,
        queue: &QueueId,
        generation: u64,
        step: QueueStep,
    ) -> Result<StepCommitted, StoreError> {
        failing(&self.step, self.inner.queue_progress.step(queue, generation, step)).await
    }

    async fn steps(&self, queue: &QueueId, since: i64) -> Result<Vec<QueueStep>, StoreError> {
        self.inner.queue_progress.steps(queue, since).await
    }
}

#[async_trait]
impl Admissions for Faulty {
    async fn admit(
        &self,
        queue: &QueueId,
        generation: u64,
        rows: &[Admission],
    ) -> Result<Vec<Admitted>, StoreError> {
        failing(&self.admit, self.inner.admissions.admit(queue, generation, rows)).await
    }

    async fn end(&self, slot: &SlotRef, at: Timestamp) -> Result<bool, StoreError> {
        let together = self.end_together.lock().unwrap().clone();
        if let Some(together) = together {
            together.wait().await;
        }
        failing(&self.end, self.inner.admissions.end(slot, at)).await
    }

    async fn admission(&self, slot: &SlotRef) -> Result<Option<Admission>, StoreError> {
        self.inner.admissions.admission(slot).await
    }

    async fn admissions(&self, queue: &QueueId) -> Result<Vec<Admission>, StoreError> {
        self.inner.admissions.admissions(queue).await
    }
}

/// A room for one, somebody who was called, and books that fail.
async fn called() -> (World, Arc<Faulty>, QueueToken) {
    let mut world = World::new(QueueSettings { capacity: 1, ..settings() }).await;
    let faulty = Faulty::new(&mut world);
    let (token, standing) = world.join().await;
    assert_eq!(standing.state, PlaceState::Ready);
    (world, faulty, token)
}

#[tokio::test]
async fn a_refused_admission_gives_the_slot_back() {
    let (world, faulty, token) = called().await;
    faulty.admit.lock().unwrap().push(Fault::Refused);
    let error = world.room.claim(&token, &account("a")).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(world.state(&token).await, PlaceState::Ready);
    assert_eq!(world.pass(&token, "b").await.pass.account, account("b"));
}

#[tokio::test]
async fn an_admission_whose_reply_was_lost_is_found_again() {
    for fault in [Fault::ReplyLost, Fault::Unknown] {
        let (world, faulty, token) = called().await;
        faulty.admit.lock().unwrap().push(fault);
        let pass = world.pass(&token, "a").await;
        assert!(world.is_live(&pass).await);
        let rows = world.ledger.books.admissions.admissions(&world.queue).await.unwrap();
        assert_eq!(rows.len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_slot_whose_admission_nobody_knows_is_not_given_to_another() {
    for second in [Fault::Refused, Fault::Unknown] {
        let (world, faulty, token) = called().await;
        faulty.admit.lock().unwrap().extend([second, Fault::Unknown]);
        let error = world.room.claim(&token, &account("a")).await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        let other = world.room.claim(&token, &account("b")).await.unwrap();
        assert!(matches!(other, ClaimAnswer::TokenUsed), "{other:?}");
        let walked = world.room.walk_in(&world.queue, &account("w")).await.unwrap();
        assert!(matches!(walked, WalkIn::QueueRequired));
        world.pass(&token, "a").await;
    }
}

#[tokio::test]
async fn a_step_that_was_not_committed_calls_nobody_until_the_pacer_repeats_it() {
    for fault in [Fault::Refused, Fault::ReplyLost, Fault::Unknown] {
        let mut world = World::new(settings()).await;
        let faulty = Faulty::new(&mut world);
        faulty.step.lock().unwrap().push(fault);
        let (token, standing) = world.join().await;
        assert_eq!(standing.state, PlaceState::Waiting, "{fault:?}");
        let claimed = world.room.claim(&token, &account("a")).await.unwrap();
        assert!(matches!(claimed, ClaimAnswer::NotYet(_)));
        world.pace().await;
        world.pass(&token, "a").await;
    }
}

#[tokio::test]
async fn a_walk_in_whose_step_failed_is_admitted_all_the_same() {
    let mut world = World::new(settings()).await;
    let faulty = Faulty::new(&mut world);
    faulty.step.lock().unwrap().push(Fault::Refused);
    let walked = world.room.walk_in(&world.queue, &account("w")).await.unwrap();
    let WalkIn::Admitted(pass) = walked else { panic!("admitted") };
    assert!(world.is_live(&pass).await);
    world.restart();
    assert!(world.is_live(&pass).await);
    let record = world.ledger.books.queue_progress.record(&world.queue).await.unwrap().unwrap();
    assert_eq!(record.now_serving, 1, "recovery records the step as well");
}

#[tokio::test]
async fn a_slot_is_free_only_when_its_end_is_recorded() {
    let (world, faulty, token) = called().await;
    let pass = world.pass(&token, "a").await;
    faulty.end.lock().unwrap().push(Fault::Refused);
    world.room.leave(&pass.pass.slot).await.unwrap_err();
    assert!(world.is_live(&pass).await);
    faulty.end.lock().unwrap().push(Fault::ReplyLost);
    world.room.leave(&pass.pass.slot).await.unwrap();
    assert!(!world.is_live(&pass).await);
}

#[tokio::test]
async fn a_slot_whose_store_was_not_told_of_its_admission_ends_all_the_same() {
    let (world, _faulty, token) = called().await;
    let admissions = &world.ledger.books.admissions;
    let progress = &world.ledger.books.queue_progress;
    let generation = progress.record(&world.queue).await.unwrap().unwrap().generation;
    let copy = CopyRef { queue: &world.queue, generation, now: world.clock.now() };
    let request = SlotRequest { account: account("a"), number: token.number, fresh: true };
    let taken = world.store.take(copy, request).await.unwrap();
    let Fenced::Is(SlotAnswer::Granted(grant)) = taken else { panic!("{taken:?}") };
    let slot = SlotRef { queue: world.queue.clone(), number: grant.number };
    let error = world.room.leave(&slot).await.unwrap_err();
    assert!(error.is_retryable(), "the books do not know it yet");
    let Grant { account, at, until, source, .. } = grant;
    let row = Admission { slot: slot.clone(), account, at, until, ended_at: None, source };
    admissions.admit(&world.queue, generation, &[row]).await.unwrap();
    world.room.leave(&slot).await.unwrap();
    let row = admissions.admission(&slot).await.unwrap().unwrap();
    assert!(row.ended_at.is_some());
    assert_eq!(world.state(&token).await, PlaceState::Done);
}

#[tokio::test]
async fn the_slots_of_a_batch_end_together_and_are_committed_when_all_are() {
    let mut world = World::new(settings()).await;
    let faulty = Faulty::new(&mut world);
    let mut passes = Vec::new();
    for name in ["a", "b", "c"] {
        let (token, _) = world.join().await;
        passes.push(world.pass(&token, name).await);
    }
    let sample = SampleEvent::default();
    let confirmed = |pass: &IssuedPass| {
        let booking = Booking::placed(&sample.place(&["main-A-1"]));
        let booking = Booking { status: BookingStatus::Confirmed, version: 2, ..booking };
        let slot = Some(pass.pass.slot.clone());
        Message::Outcome(Box::new(BookingOutcome { booking, slot }))
    };
    // One of the three fails at first, so the batch comes again and only that one is left.
    faulty.end.lock().unwrap().push(Fault::Refused);
    let together = Arc::new(Barrier::new(3));
    *faulty.end_together.lock().unwrap() = Some(together.clone());
    world.ledger.log.append(passes.iter().map(confirmed).collect()).await.unwrap();
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(
        SlotEnder::new(world.room.clone(), world.ledger.log.clone(), consumer_config())
            .run(stop.clone()),
    );
    let live = async || {
        let mut live = 0;
        for pass in &passes {
            live += usize::from(world.is_live(pass).await);
        }
        live
    };
    let backlog = async || world.ledger.log.backlog(Group::SlotEnder).await.unwrap().messages;
    while live().await > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(backlog().await, 3, "a batch is committed whole");
    // The one that is left comes again alone, and is held up until two others are there.
    tokio::join!(together.wait(), together.wait());
    while backlog().await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(live().await, 0);
    stop.cancel();
    running.join_all().await;
}

#[tokio::test]
async fn joins_fail_when_no_number_can_be_leased_and_lose_none_when_one_was() {
    let mut world = World::new(settings()).await;
    let faulty = Faulty::new(&mut world);
    faulty.lease.lock().unwrap().push(Fault::Refused);
    let error = world.room.join(&world.queue, None, None).await.unwrap_err();
    assert!(error.is_retryable());
    faulty.lease.lock().unwrap().push(Fault::ReplyLost);
    world.room.join(&world.queue, None, None).await.unwrap_err();
    let (token, standing) = world.join().await;
    assert_eq!(token.number, Some(17), "the lost lease is left out");
    assert_eq!(standing.state, PlaceState::Ready, "and holds nobody up");
}
