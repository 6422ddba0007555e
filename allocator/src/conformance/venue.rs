//! An embedded ledger with one event, an allocator on it, and a payment worker played by hand.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
use super::Fixture;
use crate::store::{Applied, CopyRef};
use crate::{
    BookAnswer, BookRequest, BookTarget, Config, Error, Keyed, LocalSeatStore, LockAnswer,
    LockRequest, Parts, SeatAllocator, SeatHold, SeatStore, Wish,
};
use async_trait::async_trait;
use ledger::books::{Begun, Settlement};
use ledger::conformance::TestLedger;
use ledger::purchase::ChargeResult;
use ledger::{
    AccountId, Backlog, Booking, BookingCommand, BookingLog, BookingOutcome, Clock, DeadLetter,
    Event, Group, IdSource, Message, PaymentToken, PlaceBooking, QueueSettings, StoreError,
    Subscription,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Venue {
    pub ledger: TestLedger,
    pub log: Arc<FlakyLog>,
    pub clock: Clock,
    pub ids: IdSource,
    pub event: Arc<Event>,
    pub seats: SeatAllocator,
}

/// How the log behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    Up,
    /// Refuses, and says so.
    Down,
    /// Appends, and loses the reply.
    LosesReplies,
    /// Loses the messages, and cannot say so.
    LosesMessages,
}

pub struct FlakyLog {
    inner: Arc<dyn BookingLog>,
    state: Mutex<LogState>,
    /// Every message that was appended.
    pub appended: Mutex<Vec<Message>>,
}

impl Venue {
    /// On `ledger`, whose log goes by `clock`, with a seat store that outlives the process, or the
    /// local one.
    pub async fn open(
        ledger: TestLedger,
        clock: Clock,
        shared: Option<Arc<dyn SeatStore>>,
    ) -> Self {
        let ids = if shared.is_some() { IdSource::system() } else { IdSource::seeded(1) };
        let event = Arc::new(Fixture::event(&ids));
        let queue = Some(QueueSettings::default());
        ledger.books.events.create(&event, queue).await.unwrap();
        let log = Arc::new(FlakyLog {
            inner: ledger.log.clone(),
            state: Mutex::new(LogState::Up),
            appended: Mutex::default(),
        });
        let local = || Arc::new(LocalSeatStore::new(ledger.journal.clone())) as Arc<dyn SeatStore>;
        let seats = allocator(shared.unwrap_or_else(local), &ledger, log.clone(), &clock, &ids);
        Self { ledger, log, clock, ids, event, seats }
    }

    /// Another node over the same record and log.
    pub fn node(&self, store: Arc<dyn SeatStore>) -> SeatAllocator {
        allocator(store, &self.ledger, self.log.clone(), &self.clock, &self.ids)
    }

    /// The process dies and another one starts on what it left.
    pub fn restart(&mut self) {
        self.seats = self.node(Arc::new(LocalSeatStore::new(self.ledger.journal.clone())));
    }

    /// The event's copy of this generation.
    pub fn at(&self, generation: u64) -> CopyRef {
        self.seats.at(&self.seats.copy(&self.event), generation)
    }

    /// One node hears of an outcome.
    pub async fn apply(
        &self,
        seats: &SeatAllocator,
        outcome: &BookingOutcome,
    ) -> Result<Applied, Error> {
        seats.apply(&seats.copy(&self.event), outcome).await
    }

    pub fn account(&self) -> AccountId {
        self.ids.account(self.clock.now())
    }

    pub fn wait_seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub async fn lock(&self, who: &AccountId, places: &[u32]) -> LockAnswer {
        let request = LockRequest {
            event: self.event.clone(),
            account: who.clone(),
            slot: None,
            wish: Wish::Places(places.to_vec()),
            together: true,
            key: None,
        };
        self.seats.lock(request).await.unwrap()
    }

    pub async fn held(&self, who: &AccountId, places: &[u32]) -> SeatHold {
        match self.lock(who, places).await {
            LockAnswer::Held(hold) => hold,
            other => panic!("expected a hold, got {other:?}"),
        }
    }

    pub async fn book(&self, hold: &SeatHold, key: Option<&str>) -> Result<BookAnswer, Error> {
        let key = key.map(|key| Keyed { key: key.to_owned(), body_hash: [0; 32] });
        let request = BookRequest {
            event: self.event.clone(),
            account: hold.account.clone(),
            target: BookTarget::Hold(hold.id.clone()),
            payment_token: PaymentToken::parse("tok_good").unwrap(),
            key,
        };
        self.seats.book(request).await
    }

    pub async fn booked(&self, hold: &SeatHold) -> Booking {
        match self.book(hold, None).await.unwrap() {
            BookAnswer::Accepted(booking) => *booking,
            other => panic!("expected a booking, got {other:?}"),
        }
    }

    /// The letters of the first places.
    pub async fn drawn(&self, places: usize) -> String {
        // Older than any map may be.
        self.clock.advance(Duration::from_millis(1));
        let shown = self.seats.seats(&self.event.id).await.unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&shown.body).unwrap();
        body["sections"]["stalls"].as_str().unwrap()[..places].to_owned()
    }

    pub fn commands(&self) -> Vec<PlaceBooking> {
        let appended = self.log.appended.lock().unwrap();
        let place = |message: &Message| match message {
            Message::Command(BookingCommand::Place(command)) => Some(command.clone()),
            Message::Command(BookingCommand::Cancel(_)) | Message::Outcome(_) => None,
        };
        appended.iter().filter_map(place).collect()
    }

    /// Claims the seats of the newest command, as the payment worker does.
    pub async fn claim(&self) -> PlaceBooking {
        let command = self.commands().pop().unwrap();
        let begun =
            self.ledger.books.purchases.begin(std::slice::from_ref(&command), self.clock.now());
        assert!(matches!(begun.await.unwrap()[0], Begun::Charge(_)));
        command
    }

    /// Claims, and writes the gateway's answer; nothing is published yet.
    pub async fn decide(&self, captured: bool) -> BookingOutcome {
        let command = self.claim().await;
        self.settle(&command, captured).await
    }

    pub async fn settle(&self, command: &PlaceBooking, captured: bool) -> BookingOutcome {
        let result = if captured {
            ChargeResult::Captured { charge_id: "ch_1".into(), amount: command.total }
        } else {
            ChargeResult::Declined { code: "no_funds".into() }
        };
        let settlement = [Settlement { booking_id: command.booking_id.clone(), result }];
        let settled = self.ledger.books.purchases.settle(&settlement, self.clock.now());
        settled.await.unwrap().pop().unwrap()
    }

    pub async fn publish(&self, outcome: BookingOutcome) {
        self.log.append(vec![Message::Outcome(Box::new(outcome))]).await.unwrap();
    }
}

fn allocator(
    store: Arc<dyn SeatStore>,
    ledger: &TestLedger,
    log: Arc<FlakyLog>,
    clock: &Clock,
    ids: &IdSource,
) -> SeatAllocator {
    SeatAllocator::new(Parts {
        store,
        purchases: ledger.books.purchase_reads.clone(),
        events: ledger.books.events.clone(),
        generations: ledger.books.seat_generations.clone(),
        log,
        clock: clock.clone(),
        ids: ids.clone(),
        config: Config {
            seats_per_lock_max: 10,
            sweep_interval_ms: 250,
            search_interval_ms: 5_000,
            sweep_batch_max: 2,
            seats_age_max_ms: 1,
            declined_hold_seconds: 120,
            key_seconds: 86_400,
            recovery: ledger::RecoveryBounds { wait_ms: 500, poll_ms: 10, winner_ms: 3_000 },
        },
    })
}

impl FlakyLog {
    pub fn is(&self, state: LogState) {
        *self.state.lock().unwrap() = state;
    }
}

#[async_trait]
impl BookingLog for FlakyLog {
    async fn append(&self, messages: Vec<Message>) -> Result<(), StoreError> {
        let state = *self.state.lock().unwrap();
        let unknown = || StoreError::unknown("appending", "the reply was lost");
        match state {
            LogState::Down => return Err(StoreError::unavailable("appending", "the log is down")),
            LogState::LosesMessages => return Err(unknown()),
            LogState::Up | LogState::LosesReplies => {}
        }
        self.appended.lock().unwrap().extend(messages.iter().cloned());
        self.inner.append(messages).await?;
        if state == LogState::LosesReplies { Err(unknown()) } else { Ok(()) }
    }

    async fn subscribe(&self, group: Group) -> Result<Box<dyn Subscription>, StoreError> {
        self.inner.subscribe(group).await
    }

    async fn append_dead(&self, group: Group, letters: &[DeadLetter]) -> Result<(), StoreError> {
        self.inner.append_dead(group, letters).await
    }

    async fn backlog(&self, group: Group) -> Result<Backlog, StoreError> {
        self.inner.backlog(group).await
    }
}
