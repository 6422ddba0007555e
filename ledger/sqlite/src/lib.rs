//! The embedded backend: one SQLite file with one group-commit writer, for every seam of the
//! ledger.
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod file;
mod row;
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
pub use events::SqliteEvents;
pub use file::{FileFailure, SqliteFile};
pub use journal::SqliteJournal;
pub use log::SqliteLog;
pub use purchases::SqlitePurchases;
pub use requests::SqliteRequests;
pub use views::SqliteViews;
pub use work::Receipt;

/// What brings a file up to date: [`MIGRATIONS`], or those of another record.
pub use sqlx::migrate::Migrator;

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
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");
