//! What the tests of this backend share, and the contracts of the seams that have no file of
//! tests to themselves.
mod live_audit;
mod planted_breaches;
mod projector;

use super::{MIGRATIONS, SqliteFile, SqliteJournal, SqliteViews};
use ledger::StoreError;
use ledger::conformance::sample::SampleEvent;
use ledger::conformance::{journal, views};
use std::sync::Arc;
use tempfile::TempDir;

pub(super) async fn open(dir: &TempDir) -> SqliteFile {
    SqliteFile::open(&dir.path().join("tidegate.db"), &MIGRATIONS).await.unwrap()
}

/// What a crash at this moment would leave: the files as they are, while nobody closed them.
pub(super) fn crashed(dir: &TempDir) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    for name in ["tidegate.db", "tidegate.db-wal"] {
        std::fs::copy(dir.path().join(name), left.path().join(name)).unwrap();
    }
    left
}

/// The number that `sql` reads.
pub(super) async fn count(file: &SqliteFile, sql: &'static str) -> i64 {
    file.read("counting", move |connection| connection.number(sql, ())).await.unwrap()
}

/// Runs a statement on the writer, as a fault in the program might.
pub(super) async fn tamper(file: &SqliteFile, sql: &'static str) -> Result<usize, StoreError> {
    file.write("tampering", move |connection| connection.execute(sql, ())).await
}

#[tokio::test]
async fn views_keep_their_contract() {
    let dir = tempfile::tempdir().unwrap();
    views::check_all(Arc::new(SqliteViews::new(open(&dir).await))).await;
}

#[tokio::test]
async fn the_seat_journal_keeps_its_contract() {
    let dir = tempfile::tempdir().unwrap();
    journal::check_all(Arc::new(SqliteJournal::new(open(&dir).await))).await;
}

#[tokio::test]
async fn the_seat_journal_survives_a_crash_and_a_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let event = SampleEvent::default().id;
    let alive = open(&dir).await;
    journal::leave_traces(&SqliteJournal::new(alive.clone()), &event).await;
    let left = crashed(&dir);
    let file = open(&left).await;
    let journal = SqliteJournal::new(file.clone());
    journal.compact();
    journal::check_survived(&journal, &event).await;
    // The compaction stands in front of this write.
    file.write("waiting", |_| Ok(())).await.unwrap();
    journal::check_survived(&journal, &event).await;
    assert_eq!(count(&file, "SELECT count(*) FROM seat_journal").await, 1);
}
