//! The conformance suites, each in a schema of its own.
use crate::testing::postgres;
use crate::{PgAccounts, PgRequests, PgStore, PgViews, open_books};
use ledger::conformance;
use ledger::conformance::sample::SampleEvent;
use ledger::{QueuePatch, QueueSettings, Timestamp};
use std::sync::Arc;

/// Runs a contract on a new schema, over connections that run in parallel.
async fn check(contract: impl AsyncFnOnce(PgStore)) {
    let schema = postgres().await;
    let store = schema.store().await;
    contract(store.clone()).await;
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purchases_keep_their_contract() {
    check(async |store| conformance::purchases::check_all(&open_books(&store)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_reads_keep_their_contract() {
    check(async |store| conformance::audit::check_all(&open_books(&store)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admissions_keep_their_contract() {
    check(async |store| conformance::admissions::check_all(&open_books(&store)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_keep_their_contract() {
    check(async |store| conformance::events::check_all(&open_books(&store)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_keep_their_contract() {
    check(async |store| {
        conformance::people::check_accounts(Arc::new(PgAccounts::new(store))).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_keep_their_contract() {
    check(async |store| {
        conformance::people::check_requests(Arc::new(PgRequests::new(store))).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_keep_their_contract() {
    check(async |store| conformance::views::check_all(Arc::new(PgViews::new(store))).await).await;
}

#[tokio::test]
async fn everything_is_there_when_the_database_is_opened_again() {
    let schema = postgres().await;
    let event = conformance::events::sample_event();
    let sale = SampleEvent::default();
    let patch = QueuePatch { capacity: Some(3), ..QueuePatch::default() };
    let left = {
        let store = schema.store().await;
        let books = open_books(&store);
        books.events.create(&event, Some(QueueSettings::default())).await.unwrap();
        books
            .queues
            .patch_queue(&event.queue_id, 1, patch, Timestamp::from_millis(5))
            .await
            .unwrap();
        books.seat_generations.raise_seat_generation(&event.id, 1).await.unwrap();
        conformance::admissions::leave_traces(&books, &event.queue_id).await;
        let left = conformance::purchases::leave_traces(&books, &sale).await;
        store.close().await;
        left
    };
    let store = schema.store().await;
    let books = open_books(&store);
    assert_eq!(books.events.event(&event.id).await.unwrap().as_ref(), Some(&event));
    assert_eq!(books.queues.limits(&event.queue_id).await.unwrap().len(), 2);
    assert_eq!(books.seat_generations.seat_generation(&event.id).await.unwrap(), Some(2));
    conformance::admissions::check_survived(&books, &event.queue_id).await;
    conformance::purchases::check_survived(&books, &sale, &left).await;
    store.close().await;
    schema.drop_schema().await;
}
