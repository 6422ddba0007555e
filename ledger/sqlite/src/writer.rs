//! Group commit: works that arrive together share one transaction and one fsync.
#[cfg(test)]
mod tests;

use super::work::{Job, Reply};
use ledger::{StoreError, metrics};
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The most works one transaction takes; bounds how long the first of them waits.
const GROUP_MAX: usize = 512;

/// What became of a group's transaction.
enum Fate {
    Committed,
    /// It failed before its COMMIT: nothing of it is there.
    Undone(sqlx::Error),
    /// The COMMIT itself failed: its frames may have reached the write-ahead log all the same.
    Unsure(sqlx::Error),
}

impl Fate {
    fn error(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Committed => None,
            Self::Undone(error) | Self::Unsure(error) => Some(error),
        }
    }

    /// What a work of this group hears that did not fail by itself.
    fn answer(&self, doing: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Committed => Ok(()),
            Self::Undone(error) => Err(StoreError::unavailable(doing, error.to_string())),
            Self::Unsure(error) => Err(StoreError::unknown(doing, error.to_string())),
        }
    }
}

/// Runs until it is closed or every sender is gone. Once the file has failed for good it only
/// refuses.
pub(super) async fn run(
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Job>,
    fatal: watch::Sender<Option<String>>,
    closing: CancellationToken,
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    loop {
        let taken = closing.run_until_cancelled(queue.recv_many(&mut group, GROUP_MAX)).await;
        let taken = match taken {
            Some(taken) => taken,
            // Nothing new comes in; what waits is still written.
            None => {
                queue.close();
                queue.recv_many(&mut group, GROUP_MAX).await
            }
        };
        if taken == 0 {
            break;
        }
        let failed = fatal.borrow().clone();
        if let Some(detail) = failed {
            group.drain(..).for_each(|job| refuse(job, &detail));
            continue;
        }
        metrics::writer_took(group.len(), queue.len());
        let started = Instant::now();
        if let Some(detail) = commit(&mut connection, &mut group, started).await {
            tracing::error!(detail, "the database can no longer be written");
            fatal.send_replace(Some(detail));
        }
    }
    if let Err(error) = sqlx::Connection::close(connection).await {
        tracing::warn!(%error, "closing the database failed");
    }
}

/// One transaction for the whole group. Every job gets exactly one reply. Returns why the file
/// cannot be written any more, if so.
async fn commit(
    connection: &mut SqliteConnection,
    group: &mut Vec<Job>,
    started: Instant,
) -> Option<String> {
    let mut replies: Vec<(&'static str, Reply)> = Vec::with_capacity(group.len());
    let fate = in_transaction(connection, group, &mut replies).await;
    if fate.error().is_some() {
        // The transaction may be gone already; then there is nothing to undo.
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    }
    metrics::writer_finished(fate.error().is_none(), started.elapsed());
    for (doing, reply) in replies {
        reply(fate.answer(doing));
    }
    let error = fate.error()?;
    let detail = error.to_string();
    group.drain(..).for_each(|job| refuse(job, &detail));
    is_fatal(error).then_some(detail)
}

/// Runs the jobs in order; those left in `group` afterwards were not reached.
async fn in_transaction(
    connection: &mut SqliteConnection,
    group: &mut Vec<Job>,
    replies: &mut Vec<(&'static str, Reply)>,
) -> Fate {
    if let Err(error) = sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await {
        return Fate::Undone(error);
    }
    group.reverse();
    while let Some(job) = group.pop() {
        if let Err(error) = behind_savepoint(connection, job, replies).await {
            return Fate::Undone(error);
        }
    }
    match sqlx::query("COMMIT").execute(&mut *connection).await {
        Ok(_) => Fate::Committed,
        Err(error) => Fate::Unsure(error),
    }
}

/// Runs one job so that its failure undoes itself only. An error ends the transaction.
async fn behind_savepoint(
    connection: &mut SqliteConnection,
    job: Job,
    replies: &mut Vec<(&'static str, Reply)>,
) -> Result<(), sqlx::Error> {
    let doing = job.doing;
    if let Err(error) = sqlx::query("SAVEPOINT work").execute(&mut *connection).await {
        refuse(job, &error.to_string());
        return Err(error);
    }
    let (failed, reply) = job.work.run(connection).await;
    replies.push((doing, reply));
    if let Some(error) = failed {
        if is_fatal(&error) {
            return Err(error);
        }
        sqlx::query("ROLLBACK TO work").execute(&mut *connection).await?;
    }
    sqlx::query("RELEASE work").execute(&mut *connection).await?;
    Ok(())
}

fn refuse(job: Job, detail: &str) {
    job.work.refuse(StoreError::unavailable(job.doing, detail.to_owned()));
}

/// Result codes after which the file will not recover by itself: read-only (8), I/O error (10),
/// corrupt (11), full (13), not a database (26). From <https://sqlite.org/rescode.html>.
fn is_fatal(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(8 | 10 | 11 | 13 | 26))
}

/// True for a broken constraint (19): the same work would break it again.
pub(super) fn is_constraint(error: &sqlx::Error) -> bool {
    primary_code(error) == Some(19)
}

fn primary_code(error: &sqlx::Error) -> Option<i64> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i64>().ok().map(|code| code & 0xff)
}
