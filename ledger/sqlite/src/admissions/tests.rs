//! The contracts of queues and people on SQLite, and what the file itself refuses.
use crate::tests::tamper;
use crate::{MIGRATIONS, SqliteAccounts, SqliteFile, SqliteRequests, open_books};
use ledger::books::QueueStep;
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
    conformance::admissions::check_all(&open_books(&file)).await;
}

#[tokio::test]
async fn events_keep_their_contract() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(folder.path()).await;
    conformance::events::check_all(&open_books(&file)).await;
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
        let books = open_books(&file);
        books.events.create(&event, Some(QueueSettings::default())).await.unwrap();
        books
            .queues
            .patch_queue(&event.queue_id, 1, patch, Timestamp::from_millis(5))
            .await
            .unwrap();
        books.seat_generations.raise_seat_generation(&event.id, 1).await.unwrap();
        conformance::admissions::leave_traces(&books, &event.queue_id).await;
        drop(books);
        file.close().await;
    }
    let file = open(folder.path()).await;
    let books = open_books(&file);
    assert_eq!(books.events.event(&event.id).await.unwrap().as_ref(), Some(&event));
    assert_eq!(books.queues.limits(&event.queue_id).await.unwrap().len(), 2);
    assert_eq!(books.seat_generations.seat_generation(&event.id).await.unwrap(), Some(2));
    conformance::admissions::check_survived(&books, &event.queue_id).await;
}

#[tokio::test]
async fn no_statement_changes_the_facts() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(folder.path()).await;
    let event = conformance::events::sample_event();
    let books = open_books(&file);
    books.events.create(&event, Some(QueueSettings::default())).await.unwrap();
    conformance::admissions::leave_traces(&books, &event.queue_id).await;
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
        assert!(tamper(&file, statement).await.is_err(), "{statement}");
    }
    let step = QueueStep { now_serving: 7, at: Timestamp::from_millis(1_000), granting_millis: 70 };
    assert_eq!(books.queue_progress.steps(&event.queue_id, 0).await.unwrap(), [step]);
    conformance::admissions::check_survived(&books, &event.queue_id).await;
}
