//! Everything a test of the loops needs: a ledger, a gateway, a clock moved by hand.
use crate::books_under_fault::{FaultyPurchases, Poison};
use crate::faults::Faults;
use crate::log_under_fault::{FaultyGateway, FaultyLog};
use crate::turnstile::Turnstile;
use ledger::audit::{Sources, audit};
use ledger::conformance::TestLedger;
use ledger::conformance::sample::{NOW, SampleEvent, cancel_of, consumer_config};
use ledger::purchase::Purchase;
use ledger::{
    BookingCommand, BookingId, BookingOutcome, BookingStatus, Clock, Cursor, Group, Message,
    PaymentToken, PlaceBooking, Transfer,
};
use ledger_sqlite::SqliteFile;
use ledger_sqlite::testing::sqlite_ledger_at;
use payment_simulator::{MIGRATIONS, SimulatedGateway, Simulation};
use payment_worker::conformance::config;
use payment_worker::gateway::{ChargeRecord, PaymentGateway};
use payment_worker::{Config, Parts, PaymentWorker, Reconciler, gateway_log};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must happen before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) event: SampleEvent,
    pub(crate) gateway: Arc<Turnstile>,
    pub(crate) poison: Poison,
    pub(crate) ledger: TestLedger,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Simulation { latency_ms: 0, ..Simulation::default() }).await
    }

    pub(crate) async fn with(simulation: Simulation) -> Self {
        let clock = Clock::manual(NOW);
        let ledger = sqlite_ledger_at(clock.clone()).await;
        let path = ledger.dir.path().join("gateway.db");
        let gateway = Arc::new(Turnstile::new(gateway_at(&path, simulation, clock.clone()).await));
        Self {
            config: config(),
            clock,
            event: SampleEvent::default(),
            gateway,
            poison: Poison::default(),
            ledger,
        }
    }

    /// A command for these places that pays with `token`. Its deadline is far, because tests move
    /// the clock.
    pub(crate) fn place(&self, places: &[&str], token: &str) -> PlaceBooking {
        let place = self.event.place(places);
        let payment_token = PaymentToken::parse(token).unwrap();
        PlaceBooking { payment_token, deadline: NOW.plus_seconds(80_000), ..place }
    }

    pub(crate) async fn append(&self, commands: impl IntoIterator<Item = BookingCommand>) {
        let messages = commands.into_iter().map(Message::Command).collect();
        self.ledger.log.append(messages).await.unwrap();
    }

    pub(crate) async fn append_places(&self, places: &[&PlaceBooking]) {
        self.append(places.iter().map(|place| BookingCommand::Place((*place).clone()))).await;
    }

    pub(crate) async fn append_cancel(&self, place: &PlaceBooking) {
        self.append([BookingCommand::Cancel(cancel_of(place))]).await;
    }

    /// The worker and its reconciler, as one process runs them; they never return by themselves.
    pub(crate) async fn node(&self, faults: &Faults) {
        let shutdown = CancellationToken::new();
        tokio::join!(
            self.worker(faults).run(shutdown.clone()),
            self.reconciler(faults).run(shutdown.clone()),
        );
    }

    pub(crate) fn worker(&self, faults: &Faults) -> PaymentWorker {
        PaymentWorker::new(self.parts(faults))
    }

    pub(crate) fn reconciler(&self, faults: &Faults) -> Reconciler {
        Reconciler::new(self.parts(faults))
    }

    pub(crate) fn parts(&self, faults: &Faults) -> Parts {
        let purchases = Arc::new(FaultyPurchases {
            inner: self.ledger.books.clone(),
            faults: faults.clone(),
            poison: self.poison.clone(),
        });
        let log = FaultyLog { inner: self.ledger.log.clone(), faults: faults.clone() };
        let gateway = FaultyGateway { inner: self.gateway.clone(), faults: faults.clone() };
        Parts {
            config: self.config.clone(),
            consumer: consumer_config(),
            purchases: purchases.clone(),
            outbox: purchases,
            log: Arc::new(log),
            gateway: Arc::new(gateway),
            clock: self.clock.clone(),
        }
    }

    /// Runs the worker alone while the script goes on, and drops it at its end.
    pub(crate) async fn work_during(&self, script: impl Future<Output = ()>) {
        let run = self.worker(&Faults::none()).run(CancellationToken::new());
        tokio::select! {
            () = run => panic!("the worker ended by itself"),
            () = script => {}
        }
    }

    /// Runs the worker alone until the condition holds, and drops it there.
    pub(crate) async fn work_until(&self, holds: impl AsyncFn() -> bool) {
        self.work_during(eventually(holds)).await;
    }

    /// What the worker left open has come due: one look of the reconciler at the gateway.
    pub(crate) async fn resolve_due(&self) {
        self.clock.advance(Duration::from_secs(2));
        self.reconciler(&Faults::none()).resolve().await.unwrap();
    }

    pub(crate) async fn purchase(&self, place: &PlaceBooking) -> Option<Purchase> {
        self.ledger.books.purchase_reads.purchase(&place.booking_id).await.unwrap()
    }

    pub(crate) async fn status(&self, place: &PlaceBooking) -> Option<BookingStatus> {
        self.purchase(place).await.map(|purchase| purchase.status)
    }

    pub(crate) async fn is(&self, place: &PlaceBooking, status: BookingStatus) -> bool {
        self.status(place).await == Some(status)
    }

    /// Commands that the worker has still to commit.
    pub(crate) async fn backlog(&self) -> u64 {
        self.ledger.log.backlog(Group::PaymentWorker).await.unwrap().messages
    }

    /// True when these have ended, the outside was told of everything, and all is committed.
    pub(crate) async fn settled(&self, places: &[&PlaceBooking]) -> bool {
        for place in places {
            if !self.status(place).await.is_some_and(BookingStatus::is_terminal) {
                return false;
            }
        }
        let outbox = self.ledger.books.outbox.unpublished(1).await.unwrap();
        outbox.is_empty() && self.backlog().await == 0
    }

    /// As [`eventually`], while time goes by for the ledger too.
    pub(crate) async fn in_time(&self, holds: impl AsyncFn() -> bool) {
        eventually(async || {
            self.clock.advance(Duration::from_millis(250));
            holds().await
        })
        .await;
    }

    pub(crate) async fn charges(&self) -> Vec<ChargeRecord> {
        self.gateway.charges(Cursor { after: None, limit: 200 }).await.unwrap().items
    }

    pub(crate) async fn refunds(&self) -> usize {
        self.gateway.refunds(Cursor { after: None, limit: 200 }).await.unwrap().items.len()
    }

    pub(crate) async fn transfers(&self) -> Vec<Transfer> {
        let cursor = Cursor { after: None, limit: 200 };
        let page = self.ledger.books.audit.transfers(cursor).await.unwrap();
        page.items.into_iter().map(|record| record.try_into().expect("it balances")).collect()
    }

    /// Commands that were set aside.
    pub(crate) async fn dead_letters(&self) -> usize {
        let cursor = Cursor { after: None, limit: 200 };
        let page = self.ledger.books.audit.commands(cursor).await.unwrap();
        page.items.iter().filter(|command| command.dead).count()
    }

    /// Every outcome of the booking on the log, in order.
    pub(crate) async fn announcements(&self, id: &BookingId) -> Vec<BookingOutcome> {
        let mut subscription = self.ledger.log.subscribe(Group::SlotEnder).await.unwrap();
        let backlog = self.ledger.log.backlog(Group::SlotEnder).await.unwrap().messages;
        let (mut outcomes, mut read) = (Vec::new(), 0);
        while read < backlog {
            let deliveries = subscription.next(1_000).await.unwrap();
            read += deliveries.len() as u64;
            for delivery in deliveries {
                let Message::Outcome(outcome) = delivery.message else { panic!("not an outcome") };
                outcomes.push(*outcome);
            }
        }
        outcomes.retain(|outcome| outcome.booking.id == *id);
        outcomes
    }

    /// The books, the gateway's log and the announcements agree about every booking.
    pub(crate) async fn assert_sound(&self, places: &[&PlaceBooking]) {
        // Nothing is in flight any more: the audit must not excuse anything by its age.
        self.clock.advance(Duration::from_secs(1_000));
        let log = gateway_log(&*self.gateway).await.unwrap();
        let sources = Sources { books: &self.ledger.books, gateway: Some(&log), seats: &[] };
        for finding in audit(sources, self.clock.now()).await.unwrap() {
            assert!(!finding.is_broken(), "{finding:?}");
        }
        for place in places {
            let purchase = self.purchase(place).await.unwrap();
            let announced = self.announcements(&place.booking_id).await;
            let newest = announced.into_iter().max_by_key(|outcome| outcome.booking.version);
            assert_eq!(newest, Some(purchase.outcome()), "the outside knows the last word");
        }
    }
}

/// A simulated gateway with its log at `path`.
async fn gateway_at(path: &Path, simulation: Simulation, clock: Clock) -> SimulatedGateway {
    let file = SqliteFile::open(path, &MIGRATIONS).await.expect("a gateway log");
    SimulatedGateway::new(simulation, file, clock)
}

/// Waits for a condition that must come about.
pub(crate) async fn eventually(holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes about in time");
}
