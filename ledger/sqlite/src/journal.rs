//! The seat journal in SQLite: an append-only table of which the last row of a hold counts.
use super::SqliteFile;
use async_trait::async_trait;
use ledger::{EventId, JournalEntry, JournalReceipt, SeatJournal, StoreError};
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
            let superseded = "DELETE FROM seat_journal WHERE hold IS NULL OR seq NOT IN
                (SELECT max(seq) FROM seat_journal GROUP BY event_id, hold_id)";
            connection.execute(superseded, ())
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
            for JournalEntry { event, hold, row } in &entries {
                let sql = "INSERT INTO seat_journal (event_id, hold_id, hold) VALUES (?1, ?2, ?3)";
                connection.execute(sql, (event.as_str(), hold.as_str(), row))?;
            }
            Ok(())
        });
        if self.appended.fetch_add(rows, Ordering::Relaxed) >= COMPACT_AFTER_ROWS {
            self.compact();
        }
        Box::pin(receipt)
    }

    async fn read(&self, event: &EventId) -> Result<Vec<String>, StoreError> {
        let event = event.clone();
        let holds = self.file.read("reading the seat journal", move |connection| {
            connection.all(
                "SELECT hold FROM seat_journal WHERE hold IS NOT NULL AND seq IN
                 (SELECT max(seq) FROM seat_journal WHERE event_id = ?1 GROUP BY hold_id)
                 ORDER BY seq",
                [event.as_str()],
                |row| row.text("hold").map(str::to_owned),
            )
        });
        holds.await
    }
}
