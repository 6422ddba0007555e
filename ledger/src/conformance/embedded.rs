//! A whole embedded ledger in a folder of its own, for the tests of every crate.
use crate::books::Books;
use crate::clock::Clock;
use crate::journal::SeatJournal;
use crate::log::BookingLog;
use crate::sqlite::{self, SqliteFile, SqliteJournal, SqliteLog, SqliteViews};
use crate::views::Views;
use std::sync::Arc;
use tempfile::TempDir;

/// An embedded ledger; its folder goes when it is dropped.
pub struct TestLedger {
    pub file: SqliteFile,
    pub books: Books,
    pub log: Arc<dyn BookingLog>,
    pub views: Arc<dyn Views>,
    pub journal: Arc<dyn SeatJournal>,
    /// The last field: the file is let go before its folder is removed.
    pub dir: TempDir,
}

/// Opens a new embedded ledger on the system's clock.
///
/// # Panics
/// When the folder or the file cannot be made.
pub async fn sqlite_ledger() -> TestLedger {
    sqlite_ledger_at(Clock::System).await
}

/// Opens a new embedded ledger on `clock`.
///
/// # Panics
/// When the folder or the file cannot be made.
pub async fn sqlite_ledger_at(clock: Clock) -> TestLedger {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let file = SqliteFile::open(&dir.path().join("tidegate.db"), &sqlite::MIGRATIONS)
        .await
        .expect("a new database can be opened");
    TestLedger {
        books: sqlite::open_books(&file),
        log: Arc::new(SqliteLog::new(file.clone(), clock)),
        views: Arc::new(SqliteViews::new(file.clone())),
        journal: Arc::new(SqliteJournal::new(file.clone())),
        file,
        dir,
    }
}
