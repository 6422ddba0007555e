//! What an error of SQLite means: for one piece of work, and for the file.
use ledger::StoreError;
use rusqlite::Error;

/// What a work or a read that failed by itself is: nothing of it is there. What broke a constraint,
/// or met a row that cannot be read, would fail the same way again.
pub(super) fn failed(doing: &'static str, error: Error) -> StoreError {
    if is_constraint(&error) || is_foreign(&error) {
        StoreError::broken(doing, error)
    } else {
        StoreError::unavailable(doing, error)
    }
}

/// Result codes after which the file will not recover by itself: read-only (8), I/O error (10),
/// corrupt (11), full (13), not a database (26). From <https://sqlite.org/rescode.html>.
pub(super) fn is_fatal(error: &Error) -> bool {
    matches!(primary_code(error), Some(8 | 10 | 11 | 13 | 26))
}

/// True for a broken constraint (19): the same work would break it again.
fn is_constraint(error: &Error) -> bool {
    primary_code(error) == Some(19)
}

/// True for a row that Tidegate never wrote: it stays unreadable for ever.
fn is_foreign(error: &Error) -> bool {
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnName(_)
            | Error::InvalidColumnType(..)
    )
}

fn primary_code(error: &Error) -> Option<i32> {
    Some(error.sqlite_error()?.extended_code & 0xff)
}
