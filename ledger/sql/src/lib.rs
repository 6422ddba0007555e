//! Rows of the SQL backends as the domain's types, read in one place for both of them.
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod admissions;
mod audit;
mod claims;
mod events;
mod people;
mod purchases;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sqlx_rows;
mod tickets;
mod transfers;
mod views;

pub use admissions::{admission, queue_record, step};
pub use audit::{claim_record, seat_count};
pub use claims::changes;
pub use events::{EventRow, limits, queue};
pub use people::{account, answer};
pub use purchases::{command_text, purchase, purchase_and_try};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx_rows::is_foreign;
pub use tickets::{NewTicket, new_tickets, ticket, ticket_use};
pub use transfers::{LegRow, headless, legs_of, transfers};
pub use views::{PageStart, booking, mark, page_start};

use ledger::{Source, Timestamp};

/// A row of either database, whatever driver read it. Both count in signed 64 bits.
pub trait Record {
    fn text(&self, column: &'static str) -> Result<&str, RowError>;
    fn text_maybe(&self, column: &'static str) -> Result<Option<&str>, RowError>;
    fn integer(&self, column: &'static str) -> Result<i64, RowError>;
    fn integer_maybe(&self, column: &'static str) -> Result<Option<i64>, RowError>;
    fn flag(&self, column: &'static str) -> Result<bool, RowError>;
    fn bytes(&self, column: &'static str) -> Result<&[u8], RowError>;
}

/// A row that Tidegate never wrote, or a value that no row can hold: it stays so for ever.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("column {column}: {value} is not what Tidegate writes")]
    Undecodable { column: &'static str, value: String },
    /// The driver could not give the column as the type that was asked for.
    #[error("column {column} cannot be read")]
    Column { column: &'static str, source: Source },
    #[error("a value cannot be written")]
    Unwritable { source: Source },
}

impl RowError {
    pub fn column(column: &'static str, source: impl Into<Source>) -> Self {
        Self::Column { column, source: source.into() }
    }

    fn unwritable(source: impl Into<Source>) -> Self {
        Self::Unwritable { source: source.into() }
    }
}

/// A text column as one of the domain's types.
pub fn parsed<T, E>(
    row: &impl Record,
    column: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, RowError> {
    let text = row.text(column)?;
    parse(text).map_err(|_| undecodable(column, text))
}

/// As [`parsed`], for parsers that answer with an option.
pub fn known<T>(
    row: &impl Record,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, RowError> {
    parsed(row, column, |text| parse(text).ok_or(()))
}

/// A text column that holds JSON.
pub fn from_json<T: serde::de::DeserializeOwned>(
    row: &impl Record,
    column: &'static str,
) -> Result<T, RowError> {
    let text = row.text(column)?;
    serde_json::from_str(text).map_err(|_| undecodable(column, text))
}

/// A column that counts.
pub fn count(row: &impl Record, column: &'static str) -> Result<u64, RowError> {
    narrow(row, column)
}

/// A column that counts in fewer bits than the database does.
pub fn narrow<T: TryFrom<i64>>(row: &impl Record, column: &'static str) -> Result<T, RowError> {
    let value = row.integer(column)?;
    T::try_from(value).map_err(|_| undecodable(column, value))
}

pub fn time(row: &impl Record, column: &'static str) -> Result<Timestamp, RowError> {
    row.integer(column).map(Timestamp::from_millis)
}

pub fn time_maybe(row: &impl Record, column: &'static str) -> Result<Option<Timestamp>, RowError> {
    Ok(row.integer_maybe(column)?.map(Timestamp::from_millis))
}

/// The databases count in signed 64 bits; what is beyond cannot be a real count.
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub fn undecodable(column: &'static str, value: impl std::fmt::Debug) -> RowError {
    RowError::Undecodable { column, value: format!("{value:?}") }
}

/// A value as the text of a JSON column, or as many rows in one argument.
pub fn json(value: &impl serde::Serialize) -> Result<String, RowError> {
    serde_json::to_string(value).map_err(RowError::unwritable)
}
