//! The conformance suites, each in a schema of its own.
use crate::testing::postgres;
use crate::{PgAccounts, PgAdmissions, PgEvents, PgPurchases, PgRequests, PgStore, PgViews};
use ledger::books::Events;
use ledger::conformance;
use ledger::conformance::sample::SampleEvent;
use ledger::{QueuePatch, QueueSettings, Timestamp};
use std::sync::Arc;

/// Runs a contract on a new schema, over connections that run in parallel.
async fn check<F: Future<Output = ()>>(contract: impl FnOnce(PgStore) -> F) {
    let schema = postgres().await;
    let store = schema.store().await;
    contract(store.clone()).await;
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purchases_keep_their_contract() {
    check(|store| conformance::purchases::check_all(Arc::new(PgPurchases::new(store)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admissions_keep_their_contract() {
    check(|store| {
        let events = Arc::new(PgEvents::new(store.clone()));
        conformance::admissions::check_all(Arc::new(PgAdmissions::new(store)), events)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_keep_their_contract() {
    check(|store| conformance::events::check_all(Arc::new(PgEvents::new(store)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_keep_their_contract() {
    check(|store| conformance::people::check_accounts(Arc::new(PgAccounts::new(store)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_keep_their_contract() {
    check(|store| conformance::people::check_requests(Arc::new(PgRequests::new(store)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_keep_their_contract() {
    check(|store| conformance::views::check_all(Arc::new(PgViews::new(store)))).await;
}

#[tokio::test]
async fn everything_is_there_when_the_database_is_opened_again() {
    let schema = postgres().await;
    let event = conformance::events::sample_event();
    let sale = SampleEvent::default();
    let patch = QueuePatch { capacity: Some(3), ..QueuePatch::default() };
    let left = {
        let store = schema.store().await;
        let events = PgEvents::new(store.clone());
        events.create(&event, Some(QueueSettings::default())).await.unwrap();
        events.patch_queue(&event.queue_id, 1, patch, Timestamp::from_millis(5)).await.unwrap();
        events.raise_seat_generation(&event.id, 1).await.unwrap();
        let admissions = PgAdmissions::new(store.clone());
        conformance::admissions::leave_traces(&admissions, &event.queue_id).await;
        let purchases = PgPurchases::new(store.clone());
        let left = conformance::purchases::leave_traces(&purchases, &sale).await;
        store.close().await;
        left
    };
    let store = schema.store().await;
    let events = PgEvents::new(store.clone());
    assert_eq!(events.event(&event.id).await.unwrap().as_ref(), Some(&event));
    assert_eq!(events.limits(&event.queue_id).await.unwrap().len(), 2);
    assert_eq!(events.seat_generation(&event.id).await.unwrap(), Some(2));
    let admissions = PgAdmissions::new(store.clone());
    conformance::admissions::check_survived(&admissions, &event.queue_id).await;
    let purchases = PgPurchases::new(store.clone());
    conformance::purchases::check_survived(&purchases, &sale, &left).await;
    store.close().await;
    schema.drop_schema().await;
}
