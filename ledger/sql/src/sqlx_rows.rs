//! Rows as sqlx reads them.
use super::{Record, RowError};
use sqlx::postgres::PgRow;
use sqlx::{Decode, Error, Postgres, Row, Type};

impl Record for PgRow {
    fn text(&self, column: &'static str) -> Result<&str, RowError> {
        value(self, column)
    }

    fn text_maybe(&self, column: &'static str) -> Result<Option<&str>, RowError> {
        value(self, column)
    }

    fn integer(&self, column: &'static str) -> Result<i64, RowError> {
        value(self, column)
    }

    fn integer_maybe(&self, column: &'static str) -> Result<Option<i64>, RowError> {
        value(self, column)
    }

    fn flag(&self, column: &'static str) -> Result<bool, RowError> {
        value(self, column)
    }

    fn bytes(&self, column: &'static str) -> Result<&[u8], RowError> {
        value(self, column)
    }
}

fn value<'r, T>(row: &'r PgRow, column: &'static str) -> Result<T, RowError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column).map_err(|error| RowError::column(column, error))
}

/// So that `?` works in what sqlx maps. All of it is for ever, as what cannot be decoded is.
impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Self::Decode(Box::new(error))
    }
}
