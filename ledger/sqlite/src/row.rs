//! What a failed read of the file means, and the readers of rows that both databases share.
use ledger::StoreError;
pub(super) use ledger_sql::{count, json, parsed, signed, time, undecodable};
use sqlx::Error;

/// What a failed read is: nothing was changed by it, but a row that Tidegate never wrote stays
/// unreadable for ever.
pub(super) fn unread(doing: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| {
        if ledger_sql::is_foreign(&error) {
            StoreError::broken(doing, error)
        } else {
            StoreError::unavailable(doing, error)
        }
    }
}
