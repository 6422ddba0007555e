//! Between rows and the domain's types, and what a failed read means.
use crate::clock::Timestamp;
use crate::error::StoreError;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row};

/// What a failed read is: nothing was changed by it, but a row that Tidegate never wrote stays
/// unreadable for ever.
pub(super) fn unread(doing: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| {
        let foreign = matches!(
            error,
            Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_)
        );
        if foreign {
            StoreError::broken(doing, error)
        } else {
            StoreError::unavailable(doing, error)
        }
    }
}

/// A text column as one of the domain's types.
pub(super) fn parsed<T, E>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Error> {
    let text: &str = row.try_get(column)?;
    parse(text).map_err(|_| undecodable(column, text))
}

/// As [`parsed`], for parsers that answer with an option.
pub(super) fn known<T>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Error> {
    parsed(row, column, |text| parse(text).ok_or(()))
}

/// A column that counts.
pub(super) fn count(row: &SqliteRow, column: &'static str) -> Result<u64, Error> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| undecodable(column, value))
}

pub(super) fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, Error> {
    row.try_get(column).map(Timestamp::from_millis)
}

pub(super) fn time_maybe(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<Timestamp>, Error> {
    let millis: Option<i64> = row.try_get(column)?;
    Ok(millis.map(Timestamp::from_millis))
}

/// SQLite counts in signed 64 bits; what is beyond cannot be a real count.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn undecodable(column: &'static str, value: impl std::fmt::Debug) -> Error {
    let source = format!("{value:?} is not what Tidegate writes").into();
    Error::ColumnDecode { index: column.into(), source }
}

/// Rows as one JSON array, for statements that write many at once by `json_each`.
pub(super) fn json(rows: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(rows).map_err(|error| Error::Encode(Box::new(error)))
}
