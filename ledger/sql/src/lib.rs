//! Rows of the SQL backends as the domain's types, read in one place for both of them.
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod admissions;
mod audit;
mod claims;
mod events;
mod people;
mod purchases;
mod tickets;
mod transfers;
mod views;

pub use admissions::{admission, queue_record, step};
pub use audit::{claim_record, seat_count};
pub use claims::changes;
pub use events::{EventRow, limits, queue};
pub use people::{account, answer};
pub use purchases::{command_text, purchase, purchase_and_try};
pub use tickets::{NewTicket, new_tickets, ticket};
pub use transfers::{LegRow, headless, legs_of, transfers};
pub use views::{PageStart, booking, mark, page_start};

use ledger::Timestamp;
use sqlx::{Error, Row};

/// A row of either database. Both count in signed 64 bits.
pub trait Record {
    fn text(&self, column: &'static str) -> Result<&str, Error>;
    fn text_maybe(&self, column: &'static str) -> Result<Option<&str>, Error>;
    fn integer(&self, column: &'static str) -> Result<i64, Error>;
    fn integer_maybe(&self, column: &'static str) -> Result<Option<i64>, Error>;
    fn flag(&self, column: &'static str) -> Result<bool, Error>;
    fn bytes(&self, column: &'static str) -> Result<&[u8], Error>;
}

macro_rules! record {
    ($row:ty) => {
        impl Record for $row {
            fn text(&self, column: &'static str) -> Result<&str, Error> {
                self.try_get(column)
            }

            fn text_maybe(&self, column: &'static str) -> Result<Option<&str>, Error> {
                self.try_get(column)
            }

            fn integer(&self, column: &'static str) -> Result<i64, Error> {
                self.try_get(column)
            }

            fn integer_maybe(&self, column: &'static str) -> Result<Option<i64>, Error> {
                self.try_get(column)
            }

            fn flag(&self, column: &'static str) -> Result<bool, Error> {
                self.try_get(column)
            }

            fn bytes(&self, column: &'static str) -> Result<&[u8], Error> {
                self.try_get(column)
            }
        }
    };
}

#[cfg(feature = "sqlite")]
record!(sqlx::sqlite::SqliteRow);
#[cfg(feature = "postgres")]
record!(sqlx::postgres::PgRow);

/// True for a row that Tidegate never wrote: it stays unreadable for ever.
pub fn is_foreign(error: &Error) -> bool {
    matches!(error, Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_))
}

/// A text column as one of the domain's types.
pub fn parsed<T, E>(
    row: &impl Record,
    column: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Error> {
    let text = row.text(column)?;
    parse(text).map_err(|_| undecodable(column, text))
}

/// As [`parsed`], for parsers that answer with an option.
pub fn known<T>(
    row: &impl Record,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Error> {
    parsed(row, column, |text| parse(text).ok_or(()))
}

/// A text column that holds JSON.
pub fn from_json<T: serde::de::DeserializeOwned>(
    row: &impl Record,
    column: &'static str,
) -> Result<T, Error> {
    let text = row.text(column)?;
    serde_json::from_str(text).map_err(|_| undecodable(column, text))
}

/// A column that counts.
pub fn count(row: &impl Record, column: &'static str) -> Result<u64, Error> {
    narrow(row, column)
}

/// A column that counts in fewer bits than the database does.
pub fn narrow<T: TryFrom<i64>>(row: &impl Record, column: &'static str) -> Result<T, Error> {
    let value = row.integer(column)?;
    T::try_from(value).map_err(|_| undecodable(column, value))
}

pub fn time(row: &impl Record, column: &'static str) -> Result<Timestamp, Error> {
    row.integer(column).map(Timestamp::from_millis)
}

pub fn time_maybe(row: &impl Record, column: &'static str) -> Result<Option<Timestamp>, Error> {
    Ok(row.integer_maybe(column)?.map(Timestamp::from_millis))
}

/// The databases count in signed 64 bits; what is beyond cannot be a real count.
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub fn undecodable(column: &'static str, value: impl std::fmt::Debug) -> Error {
    let source = format!("{value:?} is not what Tidegate writes").into();
    Error::ColumnDecode { index: column.into(), source }
}

/// A value as the text of a JSON column, or as many rows in one argument.
pub fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(Box::new(error)))
}
