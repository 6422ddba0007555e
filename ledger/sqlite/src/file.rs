//! An open SQLite file: a writer that commits in groups, and readers beside it.
use super::connection::Connection;
use super::migrations::{MigrationFailure, Migrations};
use super::readers::Readers;
use super::work::{Job, Receipt};
use super::writer::{self, Order};
use ledger::StoreError;
use rusqlite::Error;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

/// Writes that may wait for the writer; more are refused as unavailable.
const QUEUE_MAX: usize = 65_536;

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum FileFailure {
    #[error("opening the database {path}")]
    Open { path: PathBuf, source: Error },
    #[error("making the database {path}")]
    Make { path: PathBuf, source: std::io::Error },
    #[error("starting the threads of the database {path}")]
    Start { path: PathBuf, source: std::io::Error },
    #[error("migrating the database {path}")]
    Migrate { path: PathBuf, source: MigrationFailure },
    #[error("the database {path} is damaged: {detail}")]
    Damaged { path: PathBuf, detail: String },
}

/// A SQLite file in WAL mode with `synchronous=FULL`: what a write returned for survives a crash
/// of the process and of the machine. Clones share the file.
///
/// One thread of its own writes and a few read, so that a piece of work is handed over once and
/// its statements are plain calls.
#[derive(Clone)]
pub struct SqliteFile {
    path: PathBuf,
    orders: mpsc::Sender<Order>,
    readers: Arc<Readers>,
    fatal: watch::Receiver<Option<String>>,
    threads: TaskTracker,
}

impl SqliteFile {
    /// Opens or creates the file, checks it, migrates it, and starts its threads.
    pub async fn open(path: &Path, migrations: &Migrations) -> Result<Self, FileFailure> {
        let (path, migrations) = (path.to_owned(), *migrations);
        let stopped = path.clone();
        let opened = tokio::task::spawn_blocking(move || Self::open_now(path, &migrations)).await;
        opened.unwrap_or_else(|error| {
            Err(FileFailure::Start { path: stopped, source: std::io::Error::other(error) })
        })
    }

    fn open_now(path: PathBuf, migrations: &Migrations) -> Result<Self, FileFailure> {
        make_for_owner(&path).map_err(|source| FileFailure::Make { path: path.clone(), source })?;
        let failed = |source| FileFailure::Open { path: path.clone(), source };
        let connection = Connection::open(&path).map_err(failed)?;
        check(&path, &connection)?;
        connection.make_durable().map_err(failed)?;
        migrations
            .run(&connection)
            .map_err(|source| FileFailure::Migrate { path: path.clone(), source })?;
        let (threads, started) =
            (TaskTracker::new(), |source| FileFailure::Start { path: path.clone(), source });
        let readers = Readers::open(&path).map_err(failed)?;
        let readers = Arc::new(readers.start(&threads).map_err(started)?);
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let (fatal_to, fatal) = watch::channel(None);
        let token = threads.token();
        let writing = move || {
            writer::run(connection, queue, &fatal_to);
            drop(token);
        };
        std::thread::Builder::new().name("sqlite-writer".into()).spawn(writing).map_err(started)?;
        threads.close();
        Ok(Self { path, orders, readers, fatal, threads })
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
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        self.write_then(doing, work, || ())
    }

    /// As [`write`](Self::write); the writer also calls `after` once the work is durable, whether
    /// or not anybody still holds the receipt. `after` must not block.
    pub fn write_then<T, F, A>(&self, doing: &'static str, work: F, after: A) -> Receipt<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
        A: FnOnce() + Send + 'static,
    {
        let (job, receipt) = Job::new(doing, work, after);
        match self.orders.try_send(Order::Write(job)) {
            Ok(()) => receipt,
            Err(refused) => {
                let error = StoreError::unavailable(doing, refused.to_string());
                Receipt::refused(doing, error)
            }
        }
    }

    /// Has a reader run `look`, which sees committed data only and cannot write.
    pub async fn read<T, F>(&self, doing: &'static str, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        self.readers.read(doing, look).await
    }

    /// Writes that wait for the writer.
    pub fn waiting(&self) -> usize {
        self.orders.max_capacity().saturating_sub(self.orders.capacity())
    }

    /// Becomes `Some` once the file can no longer be written (disk full, read-only, damaged).
    /// Every write fails from then on; the process should end.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.fatal.clone()
    }

    /// Finishes the writes in hand and closes the file; clones are refused from then on.
    pub async fn close(self) {
        // Fails only when the writer has ended already.
        let _ = self.orders.send(Order::Close).await;
        self.readers.close();
        self.threads.wait().await;
    }
}

/// A new file is for its owner only; SQLite gives its write-ahead log the same rights.
fn make_for_owner(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

/// A damaged file is refused before anything is written to it.
fn check(path: &Path, connection: &Connection) -> Result<(), FileFailure> {
    let damaged = |detail| FileFailure::Damaged { path: path.into(), detail };
    let word = |row: &dyn ledger_sql::Record| Ok(row.text("quick_check")?.to_owned());
    match connection.optional("PRAGMA quick_check(1)", (), word) {
        Ok(Some(word)) if word == "ok" => Ok(()),
        Ok(detail) => Err(damaged(detail.unwrap_or_default())),
        Err(source) => Err(damaged(source.to_string())),
    }
}
