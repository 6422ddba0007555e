//! The embedded backend: one SQLite file with one group-commit writer, for every seam of the
//! ledger.
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod connection;
mod fault;
mod file;
mod migrations;
mod readers;
mod work;
mod writer;

mod accounts;
mod admissions;
mod audit;
mod events;
mod journal;
mod log;
mod purchases;
mod requests;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod views;

pub use accounts::SqliteAccounts;
pub use admissions::SqliteAdmissions;
pub use audit::SqliteAuditReads;
pub use connection::Connection;
pub use events::SqliteEvents;
pub use file::{FileFailure, SqliteFile};
pub use journal::SqliteJournal;
pub use log::SqliteLog;
pub use migrations::{Migration, MigrationFailure, Migrations};
pub use purchases::SqlitePurchases;
pub use requests::SqliteRequests;
pub use views::SqliteViews;
pub use work::Receipt;

// What works and reads are written with.
pub use ledger_sql::{Record, RowError, parsed, time};
pub use rusqlite::Error;

use ledger::books::Books;
use std::sync::Arc;

/// All the books of one file.
pub fn open_books(file: &SqliteFile) -> Books {
    let purchases = Arc::new(SqlitePurchases::new(file.clone()));
    let admissions = Arc::new(SqliteAdmissions::new(file.clone()));
    let events = Arc::new(SqliteEvents::new(file.clone()));
    Books {
        purchases: purchases.clone(),
        outbox: purchases.clone(),
        purchase_reads: purchases.clone(),
        tickets: purchases,
        queue_progress: admissions.clone(),
        admissions,
        events: events.clone(),
        queues: events.clone(),
        seat_generations: events,
        accounts: Arc::new(SqliteAccounts::new(file.clone())),
        requests: Arc::new(SqliteRequests::new(file.clone())),
        audit: Arc::new(SqliteAuditReads::new(file.clone())),
    }
}

/// The migrations of `tidegate.db`, embedded in the program.
pub static MIGRATIONS: Migrations = Migrations(&[
    crate::migration!("0001_accounts"),
    crate::migration!("0002_queues"),
    crate::migration!("0003_events"),
    crate::migration!("0004_requests"),
    crate::migration!("0010_purchases"),
    crate::migration!("0011_transfers"),
    crate::migration!("0012_log"),
    crate::migration!("0013_views"),
    crate::migration!("0014_seat_journal"),
]);
