//! A whole embedded ledger in a folder of its own, for the tests of every crate.
use crate::{MIGRATIONS, SqliteFile, SqliteJournal, SqliteLog, SqliteViews, open_books};
use ledger::Clock;
use ledger::conformance::TestLedger;
use std::sync::Arc;

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
    let file = SqliteFile::open(&dir.path().join("tidegate.db"), &MIGRATIONS)
        .await
        .expect("a new database can be opened");
    TestLedger {
        books: open_books(&file),
        log: Arc::new(SqliteLog::new(file.clone(), clock)),
        views: Arc::new(SqliteViews::new(file.clone())),
        journal: Arc::new(SqliteJournal::new(file.clone())),
        file: Box::new(file),
        dir,
    }
}
