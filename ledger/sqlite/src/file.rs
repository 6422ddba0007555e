//! An open SQLite file: a writer that commits in groups, and readers beside it.
use super::work::{Job, Receipt};
use super::writer;
use futures_util::future::BoxFuture;
use ledger::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a statement waits for another process's lock (a verb beside a live `serve`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Readers open at once; SQLite reads are short and never wait for the writer.
const READERS_MAX: u32 = 4;
/// Writes that may wait for the writer; more are refused as unavailable.
const QUEUE_MAX: usize = 65_536;
const STATEMENTS_CACHED: usize = 256;

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum FileFailure {
    #[error("opening the database {path}")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("migrating the database {path}")]
    Migrate { path: PathBuf, source: MigrateError },
    #[error("the database {path} is damaged: {detail}")]
    Damaged { path: PathBuf, detail: String },
}

/// A SQLite file in WAL mode with `synchronous=FULL`: what a write returned for survives a crash
/// of the process and of the machine. Clones share the file.
#[derive(Clone)]
pub struct SqliteFile {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    readers: SqlitePool,
    fatal: watch::Receiver<Option<String>>,
    writer: TaskTracker,
    closing: CancellationToken,
}

impl SqliteFile {
    /// Opens or creates the file, checks it, migrates it, and starts its writer.
    pub async fn open(path: &Path, migrations: &Migrator) -> Result<Self, FileFailure> {
        let open = |source| FileFailure::Open { path: path.into(), source };
        make_for_owner(path).map_err(|source| open(source.into()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .statement_cache_capacity(STATEMENTS_CACHED)
            .disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(open)?;
        check(path, &mut connection).await?;
        migrations
            .run(&mut connection)
            .await
            .map_err(|source| FileFailure::Migrate { path: path.into(), source })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(open)?;
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let (fatal_to, fatal) = watch::channel(None);
        let writer = TaskTracker::new();
        let closing = CancellationToken::new();
        writer.spawn(writer::run(connection, queue, fatal_to, closing.clone()));
        writer.close();
        Ok(Self { path: path.to_owned(), jobs, readers, fatal, writer, closing })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands `work` to the writer at once, in call order. It runs inside a transaction that it
    /// shares with others, behind a savepoint of its own: an error undoes this work alone. The
    /// receipt is ready once the transaction is durable.
    pub fn write<T, F>(&self, doing: &'static str, work: F) -> Receipt<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + 'static,
    {
        self.write_then(doing, work, || ())
    }

    /// As [`write`](Self::write); the writer also calls `after` once the work is durable, whether
    /// or not anybody still holds the receipt. `after` must not block.
    pub fn write_then<T, F, A>(&self, doing: &'static str, work: F, after: A) -> Receipt<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + 'static,
        A: FnOnce() + Send + 'static,
    {
        let (job, receipt) = Job::new(doing, work, after);
        match self.jobs.try_send(job) {
            Ok(()) => receipt,
            Err(refused) => {
                let error = StoreError::unavailable(doing, refused.to_string());
                Receipt::refused(doing, error)
            }
        }
    }

    /// Connections that read committed data only and cannot write.
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Writes that wait for the writer.
    pub fn waiting(&self) -> usize {
        self.jobs.max_capacity().saturating_sub(self.jobs.capacity())
    }

    /// Becomes `Some` once the file can no longer be written (disk full, read-only, damaged).
    /// Every write fails from then on; the process should end.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.fatal.clone()
    }

    /// Finishes the writes in hand and closes the file; clones are refused from then on.
    pub async fn close(self) {
        self.closing.cancel();
        self.writer.wait().await;
        self.readers.close().await;
    }
}

/// A new file is for its owner only; SQLite gives its write-ahead log the same rights.
fn make_for_owner(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

/// A damaged file is refused before anything is written to it.
async fn check(path: &Path, connection: &mut SqliteConnection) -> Result<(), FileFailure> {
    let damaged = |detail| FileFailure::Damaged { path: path.into(), detail };
    let found: Result<String, _> =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(connection).await;
    match found {
        Ok(word) if word == "ok" => Ok(()),
        Ok(detail) => Err(damaged(detail)),
        Err(source) => Err(damaged(source.to_string())),
    }
}
