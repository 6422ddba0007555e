//! Two nodes at work on the same few places, every step of a purchase at once.
use crate::open_books;
use crate::testing::{TestPostgres, postgres};
use futures_util::future::join_all;
use ledger::audit::{Finding, Sources, audit};
use ledger::books::{Begun, Books, Refunded, Scan, Settlement};
use ledger::conformance::sample::{NOW, SampleEvent, cancel_of};
use ledger::purchase::ChargeResult;
use ledger::{AccountId, BookingStatus, PlaceBooking};
use sqlx::{Connection, PgConnection};

const WORKERS: u64 = 8;
const BATCHES: usize = 40;
const PLACES: u64 = 12;
const CAP: u32 = 4;

/// Small and seeded, so that each worker's wishes are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33).checked_rem(sides).unwrap()
    }
}

fn wish(dice: &mut Dice, event: &SampleEvent, accounts: &[AccountId]) -> PlaceBooking {
    let account = &accounts[usize::try_from(dice.roll(accounts.len() as u64)).unwrap()];
    let first = dice.roll(PLACES);
    let places = (0..PLACES).cycle().skip(usize::try_from(first).unwrap());
    let count = usize::try_from(dice.roll(4)).unwrap().max(1);
    let wanted: Vec<String> = places.take(count).map(|place| format!("p-{place:02}")).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    PlaceBooking { seats_per_account_max: CAP, ..event.place_by(account, &wanted) }
}

/// Carries a charged booking to an end that the dice choose.
async fn carry_on(books: &Books, dice: &mut Dice, command: &PlaceBooking) {
    let (booking_id, amount) = (command.booking_id.clone(), command.total);
    let declined = ChargeResult::Declined { code: "card_declined".into() };
    let captured = ChargeResult::Captured { charge_id: "ch_1".into(), amount };
    let answers = match dice.roll(4) {
        0 => vec![declined],
        1 => vec![ChargeResult::Unknown, declined],
        2 => vec![ChargeResult::Unknown, captured],
        _ => vec![captured],
    };
    for result in answers {
        let settlement = Settlement { booking_id: booking_id.clone(), result };
        let news = books.purchases.settle(&[settlement], NOW).await.unwrap();
        let ticket = news.first().and_then(|outcome| outcome.booking.tickets.first());
        // A used ticket keeps its place for good.
        if let Some(ticket) = ticket.filter(|_| dice.roll(50) == 0) {
            let by = command.account_id.clone();
            let scan = Scan { ticket_id: ticket.ticket_id.clone(), issue: 1, by, gate: None };
            books.tickets.scan(&scan, NOW).await.unwrap();
        }
    }
    let cancelled = books.purchases.cancel(&[cancel_of(command)], NOW).await.unwrap();
    let owed = cancelled.iter().filter(|o| o.booking.status == BookingStatus::RefundPending);
    let owed = owed.filter_map(|outcome| outcome.booking.refunds.first());
    for refund in owed {
        let done = Refunded { booking_id: booking_id.clone(), refund_id: refund.refund_id.clone() };
        books.purchases.refunded(&[done], NOW).await.unwrap();
    }
}

/// Returns how many bookings got their places.
async fn work(books: &Books, event: &SampleEvent, accounts: &[AccountId], seed: u64) -> usize {
    let mut dice = Dice(seed);
    let mut charged: usize = 0;
    for _ in 0..BATCHES {
        let batch: Vec<_> = (0..=dice.roll(4)).map(|_| wish(&mut dice, event, accounts)).collect();
        let begun = books.purchases.begin(&batch, NOW).await.unwrap();
        let won = batch.iter().zip(&begun).filter(|(_, b)| matches!(b, Begun::Charge(_)));
        for (command, _) in won {
            charged = charged.saturating_add(1);
            carry_on(books, &mut dice, command).await;
        }
        let unpublished = books.outbox.unpublished(50).await.unwrap();
        let heard: Vec<_> =
            unpublished.into_iter().map(|o| (o.booking.id, o.booking.version)).collect();
        books.outbox.published(&heard).await.unwrap();
        books.purchases.due(NOW.plus_seconds(60), NOW.plus_seconds(60), 5).await.unwrap();
    }
    charged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_sell_the_same_places_and_the_record_adds_up() {
    let schema = postgres().await;
    let before = deadlocks(&schema).await;
    let stores = [schema.store().await, schema.store().await];
    let nodes = stores.each_ref().map(open_books);
    let event = SampleEvent::default();
    let accounts: Vec<AccountId> = (0..5).map(|_| event.account()).collect();
    let workers = (0..WORKERS).map(|n| {
        let node = &nodes[usize::from(n % 2 == 0)];
        work(node, &event, &accounts, n)
    });
    let charged: usize = join_all(workers).await.into_iter().sum();
    assert!(charged > BATCHES, "only {charged} bookings got places");
    let sources = Sources { books: &nodes[0], gateway: None, seats: &[] };
    let findings = audit(sources, NOW).await.unwrap();
    assert!(!findings.iter().any(Finding::is_broken), "{findings:#?}");
    for store in &stores {
        store.close().await;
    }
    assert_eq!(deadlocks(&schema).await, before, "somebody waited in a circle");
    schema.drop_schema().await;
}

/// Deadlocks of this database so far, of which no test may make any. Sessions report theirs when
/// they end.
async fn deadlocks(schema: &TestPostgres) -> i64 {
    let mut connection = PgConnection::connect(&schema.url).await.unwrap();
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let found = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    found
}

/// Begins batches of bookings whose places and accounts stand in any order, and gives all of a
/// batch back at once.
async fn begin_and_let_go(books: &Books, event: &SampleEvent, buyers: &[AccountId], seed: u64) {
    let mut dice = Dice(seed);
    for _ in 0..BATCHES / 4 {
        let mut batch = Vec::new();
        for _ in 0..150 {
            let place = format!("p-{:03}", dice.roll(600));
            let buyer = usize::try_from(dice.roll(buyers.len() as u64)).unwrap();
            batch.push(event.place_by(&buyers[buyer], &[&place]));
        }
        let begun = books.purchases.begin(&batch, NOW).await.unwrap();
        let won = batch.iter().zip(&begun).filter(|(_, b)| matches!(b, Begun::Charge(_)));
        let declined = won.map(|(command, _)| Settlement {
            booking_id: command.booking_id.clone(),
            result: ChargeResult::Declined { code: "card_declined".into() },
        });
        books.purchases.settle(&declined.collect::<Vec<_>>(), NOW).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_in_any_order_wait_in_one() {
    let schema = postgres().await;
    let before = deadlocks(&schema).await;
    let store = schema.store().await;
    let (books, event) = (open_books(&store), SampleEvent::default());
    // Some meet at the counts of few accounts; others, who have accounts of their own, at places.
    let few: Vec<AccountId> = (0..8).map(|_| event.account()).collect();
    let many: Vec<Vec<AccountId>> =
        (0..WORKERS).map(|_| (0..150).map(|_| event.account()).collect()).collect();
    let workers = many.iter().zip(0..).map(|(own, n)| {
        let buyers = if n % 4 == 0 { &few } else { own };
        begin_and_let_go(&books, &event, buyers, n)
    });
    join_all(workers).await;
    store.close().await;
    assert_eq!(deadlocks(&schema).await, before, "somebody waited in a circle");
    schema.drop_schema().await;
}
