//! The contracts of queues and people on SQLite, and what the file itself refuses.
use super::SqliteAdmissions;
use crate::{MIGRATIONS, SqliteAccounts, SqliteEvents, SqliteFile, SqliteRequests};
use ledger::books::{Events, QueueStep};
use ledger::{QueuePatch, QueueSettings, Timestamp, conformance};
use std::path::Path;
use std::sync::Arc;

async fn open(folder: &Path) -> SqliteFile {
    SqliteFile::open(&folder.join("tidegate.db"), &MIGRATIONS).await.unwrap()
}

#[tokio::test]
async fn admissions_keep_their_contract() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(folder.path()).await;
    let events = Arc::new(SqliteEvents::new(file.clone()));
    conformance::admissions::check_all(Arc::new(SqliteAdmissions::new(file)), events).await;
}

#[tokio::test]
async fn events_keep_their_contract() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(folder.path()).await;
    conformance::events::check_all(Arc::new(SqliteEvents::new(file))).await;
}

#[tokio::test]
async fn accounts_and_requests_keep_their_contracts() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(folder.path()).await;
    conformance::people::check_accounts(Arc::new(SqliteAccounts::new(file.clone()))).await;
    conformance::people::check_requests(Arc::new(SqliteRequests::new(file))).await;
}

#[tokio::test]
async fn everything_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let event = conformance::events::sample_event();
    let patch = QueuePatch { capacity: Some(3), ..QueuePatch::default() };
    {
        let file = open(folder.path()).await;
        let events = SqliteEvents::new(file.clone());
        events.create(&event, Some(QueueSettings::default())).await.unwrap();
        events.patch_queue(&event.queue_id, 1, patch, Timestamp::from_millis(5)).await.unwrap();
        events.raise_seat_generation(&event.id, 1).await.unwrap();
        let admissions = SqliteAdmissions::new(file.clone());
        conformance::admissions::leave_traces(&admissions, &event.queue_id).await;
        drop((events, admissions));
        file.close().await;
    }
    let file = open(folder.path()).await;
    let events = SqliteEvents::new(file.clone());
    assert_eq!(events.event(&event.id).await.unwrap().as_ref(), Some(&event));
    assert_eq!(events.limits(&event.queue_id).await.unwrap().len(), 2);
    assert_eq!(events.seat_generation(&event.id).await.unwrap(), Some(2));
    let admissions = SqliteAdmissions::new(file);
    conformance::admissions::check_survived(&admissions, &event.queue_id).await;
}

#[tokio::test]
async fn no_statement_changes_the_facts() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(folder.path()).await;
    let event = conformance::events::sample_event();
    let events = SqliteEvents::new(file.clone());
    events.create(&event, Some(QueueSettings::default())).await.unwrap();
    let admissions = SqliteAdmissions::new(file.clone());
    conformance::admissions::leave_traces(&admissions, &event.queue_id).await;
    let refused = [
        "DELETE FROM admissions",
        "UPDATE admissions SET until = until + 1",
        "UPDATE admissions SET at = at - 1",
        "UPDATE admissions SET account_id = 'mallory'",
        "UPDATE admissions SET number = number + 100",
        "UPDATE admissions SET source = 'straight_through'",
        "UPDATE admissions SET ended_at = NULL WHERE ended_at IS NOT NULL",
        "UPDATE admissions SET ended_at = 1 WHERE ended_at IS NOT NULL",
        "DELETE FROM queue_steps",
        "UPDATE queue_steps SET at = 0",
        "DELETE FROM queue_limits",
        "UPDATE queue_limits SET capacity = 0",
    ];
    for statement in refused {
        let write = file.write("tampering", move |connection| {
            Box::pin(async move { sqlx::query(statement).execute(connection).await })
        });
        assert!(write.await.is_err(), "{statement}");
    }
    let step = QueueStep { now_serving: 7, at: Timestamp::from_millis(1_000), granting_millis: 70 };
    use ledger::books::Admissions;
    assert_eq!(admissions.steps(&event.queue_id, 0).await.unwrap(), [step]);
    conformance::admissions::check_survived(&admissions, &event.queue_id).await;
}
