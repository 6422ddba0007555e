//! The embedded backend: one SQLite file with one group-commit writer, for every seam of the
//! ledger.
mod file;
mod row;
mod writer;

mod accounts;
mod admissions;
mod events;
mod requests;

pub use accounts::SqliteAccounts;
pub use admissions::SqliteAdmissions;
pub use events::SqliteEvents;
pub use file::{FileFailure, SqliteFile};
pub use requests::SqliteRequests;
pub use writer::Receipt;

/// The migrations of `tidegate.db`, embedded in the program.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
