//! The seat journal in SQLite: rows are appended, and the last one of a hold counts.
use super::file::SqliteFile;
use super::row::unread;
use async_trait::async_trait;
use ledger::{EventId, JournalEntry, JournalReceipt, SeatJournal, StoreError};
use sqlx::SqliteConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows appended between two compactions: bounds the file's growth, and how long one takes.
const COMPACT_AFTER_ROWS: u64 = 100_000;

/// The seat journal of one file.
#[derive(Clone)]
pub struct SqliteJournal {
    file: SqliteFile,
    /// Rows appended since the last compaction was asked for.
    appended: Arc<AtomicU64>,
}

impl SqliteJournal {
    pub fn new(file: SqliteFile) -> Self {
        Self { file, appended: Arc::default() }
    }

    /// Forgets, ahead of any write that follows, what past runs left behind: for the one process
    /// that serves from the file.
    pub fn compact(&self) {
        self.appended.store(0, Ordering::Relaxed);
        // Nobody waits for it; a compaction that fails is made up for by the next one.
        drop(self.file.write("compacting the seat journal", |connection| {
            Box::pin(forget_superseded(connection))
        }));
    }
}

#[async_trait]
impl SeatJournal for SqliteJournal {
    fn append(&self, entries: Vec<JournalEntry>) -> JournalReceipt {
        if entries.is_empty() {
            return Box::pin(std::future::ready(Ok(())));
        }
        let rows = entries.len() as u64;
        let receipt = self.file.write("journalling holds", move |connection| {
            Box::pin(async move { insert(connection, &entries).await })
        });
        if self.appended.fetch_add(rows, Ordering::Relaxed) >= COMPACT_AFTER_ROWS {
            self.compact();
        }
        Box::pin(receipt)
    }

    async fn read(&self, event: &EventId) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT hold FROM seat_journal WHERE hold IS NOT NULL AND seq IN \
             (SELECT max(seq) FROM seat_journal WHERE event_id = ?1 GROUP BY hold_id) ORDER BY seq",
        )
        .bind(event.as_str())
        .fetch_all(self.file.readers())
        .await
        .map_err(unread("reading the seat journal"))
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    entries: &[JournalEntry],
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = entries.iter().map(|e| (&e.event, &e.hold, &e.row)).collect();
    sqlx::query(
        "INSERT INTO seat_journal (event_id, hold_id, hold) \
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) ORDER BY key",
    )
    .bind(super::row::json(&rows)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn forget_superseded(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM seat_journal WHERE hold IS NULL OR seq NOT IN \
         (SELECT max(seq) FROM seat_journal GROUP BY event_id, hold_id)",
    )
    .execute(connection)
    .await?;
    Ok(())
}
