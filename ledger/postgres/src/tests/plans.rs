//! A sale from nothing: the planner knows nothing of the tables, and still every row is found by
//! its key.
use super::begin;
use crate::testing::{BOUNDS, postgres};
use crate::{PgPurchases, PgStore, PgViews};
use ledger::books::{DueWork, Outbox, Purchases, Refunded, Settlement};
use ledger::conformance::sample::{NOW, SampleEvent, cancel_of};
use ledger::purchase::ChargeResult;
use ledger::{Booking, Views};
use sqlx::{Connection, PgConnection};
use std::time::Duration;

const BATCHES: usize = 30;
const BATCH: usize = 40;

#[tokio::test]
async fn the_work_of_a_batch_does_not_grow_with_the_sale() {
    // Kept from the beginning, a plan is made for empty tables; else for the first hundred rows.
    for keeps_plans in ["auto", "force_generic_plan"] {
        check(keeps_plans).await;
    }
}

async fn check(keeps_plans: &str) {
    let schema = postgres().await;
    let url = format!("{}&options[plan_cache_mode]={keeps_plans}", schema.url);
    let store = PgStore::open(&url, BOUNDS).await.unwrap();
    let (books, event) = (PgPurchases::new(store.clone()), SampleEvent::default());
    for batch in 0..BATCHES {
        let place = |n| event.place(&[&format!("p-{batch}-{n}")]);
        let commands: Vec<_> = (0..BATCH).map(place).collect();
        assert_eq!(begin(&books, &commands).await, ["charge"; BATCH]);
        let captured = |amount| ChargeResult::Captured { charge_id: "ch_1".into(), amount };
        let settlements: Vec<_> = commands
            .iter()
            .map(|c| Settlement { booking_id: c.booking_id.clone(), result: captured(c.total) })
            .collect();
        let sold = books.settle(&settlements, NOW).await.unwrap();
        let heard: Vec<_> = sold.into_iter().map(|o| (o.booking.id, o.booking.version)).collect();
        books.published(&heard).await.unwrap();
        // Every tenth is given back.
        let cancels: Vec<_> = commands.iter().step_by(10).map(cancel_of).collect();
        books.cancel(&cancels, NOW).await.unwrap();
        give_back(&books).await;
        let views: Vec<_> = commands.iter().map(Booking::placed).collect();
        PgViews::new(store.clone()).put(&views).await.unwrap();
    }
    store.close().await;
    let rows = BATCHES.saturating_mul(BATCH);
    let read = tuples_read(&schema.url, rows).await;
    // Each step reads a handful of rows a booking; one look over a whole table a batch would be
    // hundreds.
    assert!(read < rows.saturating_mul(40), "{keeps_plans}: {read} rows for {rows}");
    schema.drop_schema().await;
}

/// Sends the refunds that are due.
async fn give_back(books: &PgPurchases) {
    let due = books.due(NOW, NOW.plus_seconds(15), 1_000).await.unwrap();
    let refunds: Vec<_> = due
        .into_iter()
        .map(|work| {
            let DueWork::Refund(purchase) = work else { panic!("a charge without an answer") };
            let refund_id = purchase.pending_refund().unwrap().refund_id.clone();
            Refunded { booking_id: purchase.command.booking_id, refund_id }
        })
        .collect();
    books.refunded(&refunds, NOW).await.unwrap();
}

/// Rows that were read for this schema's tables, once the server has counted all its inserts.
async fn tuples_read(url: &str, purchases: usize) -> usize {
    let mut connection = PgConnection::connect(url).await.unwrap();
    loop {
        let (inserted, read): (i64, i64) = sqlx::query_as(
            "SELECT COALESCE(max(n_tup_ins) FILTER (WHERE relname = 'purchases'), 0),
                 COALESCE(sum(seq_tup_read + idx_tup_fetch), 0)::bigint
             FROM pg_stat_user_tables WHERE schemaname = current_schema()",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        if usize::try_from(inserted) == Ok(purchases) {
            connection.close().await.unwrap();
            return usize::try_from(read).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
