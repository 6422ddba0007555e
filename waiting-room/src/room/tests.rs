//! The waiting room on the embedded ledger: a whole sale's worth of joins, claims and losses.
mod faults;
mod sale;
mod settings;

use super::*;
use crate::store::LocalQueueStore;
use crate::{Config, IssuedPass, Pacer, PlaceState, Pressure, Pressures};
use ledger::books::{Admissions, EventCreated, QueueProgress};
use ledger::conformance::TestLedger;
use ledger::{
    DEFAULT_PRICE, Event, Layout, QueueSettings, QueueState, RecoveryBounds, SaleTerms, SlotRef,
    Timestamp,
};
use ledger_sqlite::testing::sqlite_ledger_at;
use std::collections::HashMap;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const T0: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn config() -> Config {
    Config {
        join_combine_ms: 2,
        join_combine_max: 100,
        join_queue_max: 10_000,
        lease_ahead_seconds: 1,
        lease_min: 16,
        pacer_interval_ms: 5,
        list_interval_ms: 1_000,
        step_retry_ms: 1_000,
        settings_recorded_within_ms: 10_000,
        opening_wait_ms: 1_000,
        recovery: RecoveryBounds { wait_ms: 500, poll_ms: 20, winner_ms: 3_000 },
        board_interval_ms: 200,
        board_idle_ms: 1_000,
        issuer: "tidegate".into(),
        leeway_seconds: 5,
        poll: vec![(Some(50), 2_000), (None, 60_000)],
        message: String::new(),
    }
}

fn settings() -> QueueSettings {
    QueueSettings {
        rate_per_minute: 6_000,
        capacity: 50,
        claim_window_seconds: 30,
        return_seconds: 60,
        session_seconds: 600,
        ..QueueSettings::default()
    }
}

fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

/// A ledger with one queue, and the room in front of it.
struct World {
    ledger: TestLedger,
    clock: Clock,
    keys: Keyring,
    store: Arc<LocalQueueStore>,
    pressure: watch::Sender<Pressures>,
    queue: QueueId,
    room: WaitingRoom,
}

impl World {
    async fn new(settings: QueueSettings) -> Self {
        Self::opening(settings, T0).await
    }

    async fn opening(settings: QueueSettings, on_sale_at: Timestamp) -> Self {
        let clock = Clock::manual(T0);
        let ledger = sqlite_ledger_at(clock.clone()).await;
        let id = ledger::EventId::parse("evt_1").unwrap();
        let queue = QueueId::from(&id);
        let event = Event {
            id,
            name: "A night".into(),
            date: "2026-06-01".into(),
            timezone: "UTC".into(),
            venue: "Hall".into(),
            on_sale_at,
            queue_id: queue.clone(),
            terms: SaleTerms::default(),
            layout_version: 1,
            layout: Arc::new(Layout::plain(10, DEFAULT_PRICE).unwrap()),
            created_at: T0,
        };
        let created = ledger.books.events.create(&event, Some(settings)).await.unwrap();
        assert_eq!(created, EventCreated::Created);
        let keys = Keyring::ephemeral(T0);
        let store = Arc::new(LocalQueueStore::new());
        let pressure = watch::Sender::new(Pressures::default());
        let progress = ledger.books.queue_progress.clone();
        let admissions = ledger.books.admissions.clone();
        let room = room(&ledger, progress, admissions, &clock, &keys, &store, &pressure);
        Self { ledger, clock, keys, store, pressure, queue, room }
    }

    /// As after kill -9: the copy in memory is gone, the books are there.
    fn restart(&mut self) {
        self.store = Arc::new(LocalQueueStore::new());
        let progress = self.ledger.books.queue_progress.clone();
        let admissions = self.ledger.books.admissions.clone();
        self.restart_on(progress, admissions);
    }

    fn restart_on(&mut self, progress: Arc<dyn QueueProgress>, admissions: Arc<dyn Admissions>) {
        let Self { ledger, clock, keys, store, pressure, .. } = self;
        self.room = room(ledger, progress, admissions, clock, keys, store, pressure);
    }

    fn wait(&self, millis: u64) {
        self.clock.advance(std::time::Duration::from_millis(millis));
    }

    async fn join(&self) -> (QueueToken, Standing) {
        self.join_as(None, None).await
    }

    async fn join_as(
        &self,
        account: Option<&AccountId>,
        shown: Option<&str>,
    ) -> (QueueToken, Standing) {
        match self.room.join(&self.queue, account, shown).await.unwrap() {
            JoinAnswer::Joined { token, standing } | JoinAnswer::Same { token, standing } => {
                (self.room.read_token(&self.queue, &token).unwrap(), standing)
            }
            other => panic!("not joined: {other:?}"),
        }
    }

    async fn pass(&self, token: &QueueToken, name: &str) -> IssuedPass {
        match self.room.claim(token, &account(name)).await.unwrap() {
            ClaimAnswer::Admitted(pass) => pass,
            other => panic!("not admitted: {other:?}"),
        }
    }

    async fn is_live(&self, pass: &IssuedPass) -> bool {
        let account = &pass.pass.account;
        let check = self.room.check_pass(&self.queue, account, &pass.jwt).await.unwrap();
        check == PassCheck::Live(pass.pass.clone())
    }

    async fn state(&self, token: &QueueToken) -> PlaceState {
        self.room.standing(token).await.unwrap().state
    }

    async fn patch(&self, patch: QueuePatch) {
        self.room.configure(&self.queue, patch).await.unwrap().unwrap();
    }

    async fn turn(&self, state: QueueState) {
        self.patch(QueuePatch { state: Some(state), ..QueuePatch::default() }).await;
    }

    fn feel(&self, pressure: Pressure) {
        let all = HashMap::from([(self.queue.clone(), pressure)]);
        self.pressure.send_replace(Arc::new(all));
    }

    /// One look of the pacer, and all that comes of it.
    async fn pace(&self) {
        let queue = self.handle().await;
        if let Some((generation, step)) = queue.stepper.propose().await.unwrap() {
            queue.stepper.commit(generation, step).await.unwrap();
        }
    }

    async fn handle(&self) -> Arc<QueueHandle> {
        self.room.inner.queues.known(&self.queue).await.unwrap()
    }
}

fn room(
    ledger: &TestLedger,
    progress: Arc<dyn QueueProgress>,
    admissions: Arc<dyn Admissions>,
    clock: &Clock,
    keys: &Keyring,
    store: &Arc<LocalQueueStore>,
    pressure: &watch::Sender<Pressures>,
) -> WaitingRoom {
    WaitingRoom::new(Parts {
        store: store.clone(),
        progress,
        admissions,
        queues: ledger.books.queues.clone(),
        keys: keys.clone(),
        clock: clock.clone(),
        config: config(),
        pressure: pressure.subscribe(),
    })
}
