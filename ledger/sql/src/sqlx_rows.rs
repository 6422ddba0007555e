//! Rows as sqlx reads them.
use super::{Record, RowError};
use sqlx::Row;

macro_rules! record {
    ($row:ty) => {
        impl Record for $row {
            fn text(&self, column: &'static str) -> Result<&str, RowError> {
                self.try_get(column).map_err(|error| RowError::column(column, error))
            }

            fn text_maybe(&self, column: &'static str) -> Result<Option<&str>, RowError> {
                self.try_get(column).map_err(|error| RowError::column(column, error))
            }

            fn integer(&self, column: &'static str) -> Result<i64, RowError> {
                self.try_get(column).map_err(|error| RowError::column(column, error))
            }

            fn integer_maybe(&self, column: &'static str) -> Result<Option<i64>, RowError> {
                self.try_get(column).map_err(|error| RowError::column(column, error))
            }

            fn flag(&self, column: &'static str) -> Result<bool, RowError> {
                self.try_get(column).map_err(|error| RowError::column(column, error))
            }

            fn bytes(&self, column: &'static str) -> Result<&[u8], RowError> {
                self.try_get(column).map_err(|error| RowError::column(column, error))
            }
        }
    };
}

#[cfg(feature = "sqlite")]
record!(sqlx::sqlite::SqliteRow);
#[cfg(feature = "postgres")]
record!(sqlx::postgres::PgRow);

/// So that `?` works in what sqlx maps. All of it is for ever, as what cannot be decoded is.
impl From<RowError> for sqlx::Error {
    fn from(error: RowError) -> Self {
        Self::Decode(Box::new(error))
    }
}

/// True for a row that Tidegate never wrote: it stays unreadable for ever.
pub fn is_foreign(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_)
    )
}
