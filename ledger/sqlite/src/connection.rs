//! A connection to the file, on whose thread works and reads run: every statement is a call.
use ledger_sql::{Record, RowError};
use rusqlite::{Connection as Driver, Error, OpenFlags, Params};
use std::path::Path;
use std::time::Duration;

/// How long a statement waits for another process's lock (a verb beside a live `serve`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// More than all works and reads have; each is prepared once a connection.
const STATEMENTS_CACHED: usize = 256;

/// One connection. Statements are prepared when they first come and kept.
pub struct Connection(Driver);

impl Connection {
    /// Opens the file, which is there already, for one thread at a time.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let driver = Driver::open_with_flags(path, flags)?;
        driver.busy_timeout(BUSY_TIMEOUT)?;
        driver.pragma_update(None, "foreign_keys", true)?;
        driver.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        Ok(Self(driver))
    }

    /// Commits are on the disk when they return, and readers never wait for the writer.
    pub(super) fn make_durable(&self) -> Result<(), Error> {
        self.0.pragma_update(None, "journal_mode", "WAL")?;
        self.0.pragma_update(None, "synchronous", "FULL")
    }

    pub(super) fn make_read_only(&self) -> Result<(), Error> {
        self.0.pragma_update(None, "query_only", true)
    }

    /// Runs statements that are needed once, such as those of a migration.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Error> {
        self.0.execute_batch(sql)
    }

    pub(super) fn close(self) -> Result<(), Error> {
        self.0.close().map_err(|(_, error)| error)
    }

    /// Changes rows, and says how many.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        self.0.prepare_cached(sql)?.execute(params)
    }

    /// The first row, if there is one.
    pub fn optional<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&dyn Record) -> Result<T, RowError>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        Ok(rows.next()?.map(|row| read(row)).transpose()?)
    }

    /// The row that must be there.
    pub fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&dyn Record) -> Result<T, RowError>,
    ) -> Result<T, Error> {
        self.optional(sql, params, read)?.ok_or(Error::QueryReturnedNoRows)
    }

    /// All rows, in order.
    pub fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&dyn Record) -> Result<T, RowError>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }

    /// The only number of the only row.
    pub fn number(&self, sql: &str, params: impl Params) -> Result<i64, Error> {
        self.0.prepare_cached(sql)?.query_row(params, |row| row.get(0))
    }

    /// Runs `look`, all of whose statements see the file as it was at one moment.
    pub fn snapshot<T>(&self, look: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        let snapshot = self.0.unchecked_transaction()?;
        let seen = look(self)?;
        snapshot.finish()?;
        Ok(seen)
    }
}
