//! Group commit: works that arrive together share one transaction and one fsync.
#[cfg(test)]
mod tests;

use super::connection::Connection;
use super::fault::is_fatal;
use super::work::{Job, Ran, Reply};
use ledger::{StoreError, metrics};
use rusqlite::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The most works one transaction takes; bounds how long the first of them waits.
const GROUP_MAX: usize = 512;

/// What the writer is told.
pub(super) enum Order {
    Write(Job),
    /// Take nothing more, and end when all that came before is written.
    Close,
}

/// What became of a group's transaction.
enum Fate {
    Committed,
    /// It failed before its COMMIT: nothing of it is there.
    Undone(Trouble),
    /// The COMMIT itself failed: its frames may have reached the write-ahead log all the same.
    Unsure(Trouble),
}

/// Why a transaction failed, and whether the next one would too.
struct Trouble {
    detail: String,
    fatal: bool,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self { detail: error.to_string(), fatal: is_fatal(&error) }
    }
}

impl Fate {
    fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Committed => None,
            Self::Undone(trouble) | Self::Unsure(trouble) => Some(trouble),
        }
    }

    /// What a work of this group hears that did not fail by itself.
    fn answer(&self, doing: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Committed => Ok(()),
            Self::Undone(trouble) => Err(StoreError::unavailable(doing, trouble.detail.clone())),
            Self::Unsure(trouble) => Err(StoreError::unknown(doing, trouble.detail.clone())),
        }
    }
}

/// Runs until it is closed or every sender is gone. Once the file has failed for good it only
/// refuses.
pub(super) fn run(
    connection: Connection,
    mut queue: mpsc::Receiver<Order>,
    fatal: &watch::Sender<Option<String>>,
) {
    let (mut orders, mut group) = (Vec::with_capacity(GROUP_MAX), Vec::with_capacity(GROUP_MAX));
    while queue.blocking_recv_many(&mut orders, GROUP_MAX) > 0 {
        for order in orders.drain(..) {
            match order {
                Order::Write(job) => group.push(job),
                Order::Close => queue.close(),
            }
        }
        if group.is_empty() {
            continue;
        }
        let failed = fatal.borrow().clone();
        if let Some(detail) = failed {
            group.drain(..).for_each(|job| refuse(job, &detail));
            continue;
        }
        metrics::writer_took(group.len(), queue.len());
        let started = Instant::now();
        if let Some(detail) = commit(&connection, &mut group, started) {
            tracing::error!(detail, "the database can no longer be written");
            fatal.send_replace(Some(detail));
        }
    }
    if let Err(error) = connection.close() {
        tracing::warn!(%error, "closing the database failed");
    }
}

/// One transaction for the whole group. Every job gets exactly one reply. Returns why the file
/// cannot be written any more, if so.
fn commit(connection: &Connection, group: &mut Vec<Job>, started: Instant) -> Option<String> {
    let mut replies: Vec<(&'static str, Reply)> = Vec::with_capacity(group.len());
    let mut jobs = group.drain(..);
    let fate = in_transaction(connection, &mut jobs, &mut replies);
    if fate.trouble().is_some() {
        // The transaction may be gone already; then there is nothing to undo.
        let _ = connection.batch("ROLLBACK");
    }
    metrics::writer_finished(fate.trouble().is_none(), started.elapsed());
    for (doing, reply) in replies {
        reply(fate.answer(doing));
    }
    let Trouble { detail, fatal } = fate.trouble()?;
    jobs.for_each(|job| refuse(job, detail));
    fatal.then(|| detail.clone())
}

/// Runs the jobs in order; those left in `jobs` afterwards were not reached.
fn in_transaction(
    connection: &Connection,
    jobs: &mut impl Iterator<Item = Job>,
    replies: &mut Vec<(&'static str, Reply)>,
) -> Fate {
    if let Err(error) = connection.execute("BEGIN IMMEDIATE", ()) {
        return Fate::Undone(error.into());
    }
    for job in jobs {
        if let Err(trouble) = behind_savepoint(connection, job, replies) {
            return Fate::Undone(trouble);
        }
    }
    match connection.execute("COMMIT", ()) {
        Ok(_) => Fate::Committed,
        Err(error) => Fate::Unsure(error.into()),
    }
}

/// Runs one job so that its failure undoes itself only. Trouble ends the transaction.
fn behind_savepoint(
    connection: &Connection,
    job: Job,
    replies: &mut Vec<(&'static str, Reply)>,
) -> Result<(), Trouble> {
    let doing = job.doing;
    if let Err(error) = connection.execute("SAVEPOINT work", ()) {
        refuse(job, &error.to_string());
        return Err(error.into());
    }
    let (ran, reply) = job.work.run(connection);
    replies.push((doing, reply));
    match ran {
        Ran::Done => {}
        Ran::Failed => drop(connection.execute("ROLLBACK TO work", ())?),
        Ran::Fatally(detail) => return Err(Trouble { detail, fatal: true }),
    }
    connection.execute("RELEASE work", ())?;
    Ok(())
}

fn refuse(job: Job, detail: &str) {
    job.work.refuse(StoreError::unavailable(job.doing, detail.to_owned()));
}
