//! The embedded backend: one SQLite file with one group-commit writer, for every seam of the
//! ledger.
mod file;
mod writer;

pub use file::{FileFailure, SqliteFile};
pub use writer::Receipt;

/// The migrations of `tidegate.db`, embedded in the program.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
