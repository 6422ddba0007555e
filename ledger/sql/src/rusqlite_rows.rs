//! Rows as rusqlite reads them.
use super::{Record, RowError};
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Error, Row};

impl Record for Row<'_> {
    fn text(&self, column: &'static str) -> Result<&str, RowError> {
        value(self, column)?.as_str().map_err(|error| RowError::column(column, error))
    }

    fn text_maybe(&self, column: &'static str) -> Result<Option<&str>, RowError> {
        value(self, column)?.as_str_or_null().map_err(|error| RowError::column(column, error))
    }

    fn integer(&self, column: &'static str) -> Result<i64, RowError> {
        value(self, column)?.as_i64().map_err(|error| RowError::column(column, error))
    }

    fn integer_maybe(&self, column: &'static str) -> Result<Option<i64>, RowError> {
        value(self, column)?.as_i64_or_null().map_err(|error| RowError::column(column, error))
    }

    fn flag(&self, column: &'static str) -> Result<bool, RowError> {
        self.integer(column).map(|flag| flag != 0)
    }

    fn bytes(&self, column: &'static str) -> Result<&[u8], RowError> {
        value(self, column)?.as_blob().map_err(|error| RowError::column(column, error))
    }
}

fn value<'r>(row: &'r Row<'_>, column: &'static str) -> Result<ValueRef<'r>, RowError> {
    row.get_ref(column).map_err(|error| RowError::column(column, error))
}

/// So that `?` works in works and reads. It is an error of conversion, which is for ever.
impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Self::FromSqlConversionFailure(0, Type::Null, Box::new(error))
    }
}
