//! The distributed record: the books, and views where nothing else keeps them, in Postgres.
//!
//! Every node of a cluster writes here at once, at READ COMMITTED. Whoever writes takes its locks
//! in one order, so that nobody waits in a circle: the queue's generation; purchases by id;
//! tickets by id; accounts' seats by event and account; claims by event and place.
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod fault;
mod probe;
mod store;

mod accounts;
mod admissions;
mod audit;
mod events;
mod purchases;
mod requests;
mod views;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use accounts::PgAccounts;
pub use admissions::PgAdmissions;
pub use audit::PgAuditReads;
pub use events::PgEvents;
pub use purchases::PgPurchases;
pub use requests::PgRequests;
pub use store::{PgBounds, PgFailure, PgStore};
pub use views::PgViews;

use ledger::books::Books;
use std::sync::Arc;

/// All the books of one database.
pub fn open_books(store: &PgStore) -> Books {
    let purchases = Arc::new(PgPurchases::new(store.clone()));
    let admissions = Arc::new(PgAdmissions::new(store.clone()));
    let events = Arc::new(PgEvents::new(store.clone()));
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
        accounts: Arc::new(PgAccounts::new(store.clone())),
        requests: Arc::new(PgRequests::new(store.clone())),
        audit: Arc::new(PgAuditReads::new(store.clone())),
    }
}

/// The migrations of the database, embedded in the program.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");
