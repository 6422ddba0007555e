//! One sale in one process, as its logs tell it.
use super::tests::Lines;
use super::{Format, subscriber};
use crate::config::{Configuration, Layers};
use allocator::{
    BookAnswer, BookRequest, BookTarget, LocalSeatStore, LockAnswer, LockRequest, OutcomeApplier,
    SeatAllocator, Wish,
};
use ledger::{
    BookingLog, BookingStatus, Books, Clock, DEFAULT_PRICE, Event, Group, IdSource, Layout,
    PaymentToken, QueueId, QueueSettings, SaleTerms,
};
use ledger_sqlite::{MIGRATIONS, SqliteFile, SqliteJournal, SqliteLog, open_books};
use payment_simulator::{SimulatedGateway, Simulation};
use payment_worker::PaymentWorker;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The stages that a booking passes.
struct Sale {
    worker: PaymentWorker,
    applier: OutcomeApplier,
    buyer: Buyer,
}

struct Buyer {
    books: Books,
    log: Arc<dyn BookingLog>,
    seats: SeatAllocator,
    event: Arc<Event>,
    ids: IdSource,
}

impl Sale {
    async fn open(folder: &Path) -> Self {
        let defaults = include_str!("../../tidegate.default.toml");
        let config: Configuration = Layers::defaults(defaults).unwrap().read().unwrap();
        let file = SqliteFile::open(&folder.join("tidegate.db"), &MIGRATIONS).await.unwrap();
        let paid = folder.join("gateway.db");
        let paid = SqliteFile::open(&paid, &payment_simulator::MIGRATIONS).await.unwrap();
        let (books, ids) = (open_books(&file), IdSource::system());
        let log: Arc<dyn BookingLog> = Arc::new(SqliteLog::new(file.clone(), Clock::System));
        let event = Arc::new(event(&ids));
        books.events.create(&event, Some(QueueSettings::default())).await.unwrap();
        let seats = SeatAllocator::new(allocator::Parts {
            store: Arc::new(LocalSeatStore::new(Arc::new(SqliteJournal::new(file)))),
            purchases: books.purchase_reads.clone(),
            events: books.events.clone(),
            generations: books.seat_generations.clone(),
            log: log.clone(),
            clock: Clock::System,
            ids: ids.clone(),
            config: config.allocator.clone(),
        });
        let simulation = Simulation { latency_ms: 0, ..Simulation::default() };
        let worker = PaymentWorker::new(payment_worker::Parts {
            config: config.payment_worker.clone(),
            consumer: config.ledger.consumer.clone(),
            purchases: books.purchases.clone(),
            outbox: books.outbox.clone(),
            log: log.clone(),
            gateway: Arc::new(SimulatedGateway::new(simulation, paid, Clock::System)),
            clock: Clock::System,
        });
        let applier = OutcomeApplier::new(seats.clone(), config.ledger.consumer.clone());
        Self { worker, applier, buyer: Buyer { books, log, seats, event, ids } }
    }
}

impl Buyer {
    /// Buys two seats; the ids of the hold and of the booking.
    async fn buy(&self) -> (String, String) {
        let account = self.ids.account(Clock::System.now());
        let locked = self.seats.lock(LockRequest {
            event: self.event.clone(),
            account: account.clone(),
            slot: None,
            wish: Wish::Best { quantity: 2, section: None },
            together: true,
            key: None,
        });
        let LockAnswer::Held(hold) = locked.await.unwrap() else { panic!("not held") };
        let booked = self.seats.book(BookRequest {
            event: self.event.clone(),
            account,
            target: BookTarget::Hold(hold.id.clone()),
            payment_token: PaymentToken::parse("tok_good").unwrap(),
            key: None,
        });
        let BookAnswer::Accepted(booking) = booked.await.unwrap() else { panic!("not booked") };
        // Confirmed in the books, and every seat is what the outcome says.
        let reads = &self.books.purchase_reads;
        loop {
            let purchase = reads.purchase(&booking.id).await.unwrap();
            let confirmed = purchase.is_some_and(|one| one.status == BookingStatus::Confirmed);
            let backlog = self.log.backlog(Group::OutcomeApplier).await.unwrap();
            if confirmed
                && backlog.messages == 0
                && self.seats.hold(&hold.id).await.unwrap().is_none()
            {
                return (hold.id.to_string(), booking.id.to_string());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn event(ids: &IdSource) -> Event {
    let now = Clock::System.now();
    let id = ids.event(now);
    Event {
        queue_id: QueueId::from(&id),
        id,
        name: "A night".into(),
        date: "2040-01-01".into(),
        timezone: "UTC".into(),
        venue: "Hall".into(),
        on_sale_at: now,
        terms: SaleTerms::default(),
        layout_version: 1,
        layout: Arc::new(Layout::plain(4, DEFAULT_PRICE).unwrap()),
        created_at: now,
    }
}

/// Sells one booking with everything in this thread, and returns its ids and the lines logged.
async fn logged(level: &str) -> ((String, String), Vec<Value>) {
    let lines = Lines::default();
    let to = lines.clone();
    let subscriber = subscriber(level, Format::Json, move || to.clone()).unwrap();
    let _recording = tracing::subscriber::set_default(subscriber);
    // Another test's thread may have been the first to make a span, and found nobody interested.
    tracing::callsite::rebuild_interest_cache();
    let folder = tempfile::tempdir().unwrap();
    let Sale { worker, applier, buyer } = Sale::open(folder.path()).await;
    let shutdown = CancellationToken::new();
    let loops = async {
        tokio::join!(worker.run(shutdown.clone()), applier.run(shutdown.clone()));
    };
    let buying = async {
        let bought = tokio::time::timeout(Duration::from_secs(60), buyer.buy()).await.unwrap();
        shutdown.cancel();
        bought
    };
    let ((), bought) = tokio::join!(loops, buying);
    let lines = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (bought, lines)
}

#[tokio::test]
async fn one_search_finds_a_booking_from_the_lock_to_the_ticket() {
    let ((hold, booking), lines) = logged("info,booking=debug").await;
    // A booking's id begins with its hold's.
    let life: Vec<&Value> = lines.iter().filter(|line| line.to_string().contains(&hold)).collect();
    let steps: Vec<&str> = life.iter().filter_map(|line| line["span"]["step"].as_str()).collect();
    assert_eq!(steps, ["lock", "book", "place", "charge", "settle", "ticket", "apply"]);
    for line in &life[1..] {
        assert_eq!(line["span"]["booking.id"], booking.as_str(), "{line}");
    }
}

#[tokio::test]
async fn by_default_a_booking_is_one_line_with_the_ages_of_its_steps() {
    let ((_, booking), lines) = logged("info").await;
    let life: Vec<&Value> =
        lines.iter().filter(|line| line.to_string().contains(&booking)).collect();
    let [ticket] = life[..] else { panic!("{life:?}") };
    assert_eq!(ticket["span"]["step"], "ticket");
    let (booked, charged) = (&ticket["booked_ms_ago"], &ticket["charged_ms_ago"]);
    assert!(booked.as_i64() >= charged.as_i64() && charged.as_i64() >= Some(0), "{ticket}");
}
