//! Group commit: works that arrive together share one transaction and one fsync.
use crate::error::StoreError;
use futures_util::future::BoxFuture;
use sqlx::SqliteConnection;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot, watch};

/// The most works one transaction takes; bounds how long the first of them waits.
const GROUP_MAX: usize = 512;

/// Sends a work's result to its caller once the fate of the whole transaction is known.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Run = Box<
    dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, (Option<sqlx::Error>, Reply)>
        + Send,
>;

/// One work, with its way back.
pub(super) struct Job {
    doing: &'static str,
    run: Run,
}

/// Ready once a write is durable, or is known to have failed.
pub struct Receipt<T> {
    doing: &'static str,
    state: State<T>,
}

enum State<T> {
    Waiting(oneshot::Receiver<Result<T, StoreError>>),
    Refused(Option<StoreError>),
}

impl<T: Send + 'static> Receipt<T> {
    pub(super) fn refused(error: StoreError) -> Self {
        Self { doing: "writing", state: State::Refused(Some(error)) }
    }
}

impl<T> Unpin for Receipt<T> {}

impl<T> Future for Receipt<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let doing = self.doing;
        match &mut self.state {
            State::Waiting(receiver) => Pin::new(receiver).poll(cx).map(|answer| {
                answer.unwrap_or_else(|_| Err(StoreError::unknown(doing, "the writer stopped")))
            }),
            State::Refused(error) => {
                let error = error.take();
                let spent = || StoreError::broken(doing, "the receipt was polled again");
                Poll::Ready(Err(error.unwrap_or_else(spent)))
            }
        }
    }
}

impl Job {
    pub(super) fn new<T, F>(doing: &'static str, work: F) -> (Self, Receipt<T>)
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + 'static,
    {
        let (to, from) = oneshot::channel::<Result<T, StoreError>>();
        let run: Run = Box::new(move |connection| {
            Box::pin(async move {
                match work(connection).await {
                    Ok(value) => {
                        let reply: Reply = Box::new(move |committed| {
                            // The caller may have gone; its work stands all the same.
                            let _ = to.send(committed.map(|()| value));
                        });
                        (None, reply)
                    }
                    Err(error) => {
                        let detail = error.to_string();
                        let reply: Reply = Box::new(move |_| {
                            let _ = to.send(Err(StoreError::unavailable(doing, detail)));
                        });
                        (Some(error), reply)
                    }
                }
            })
        });
        (Self { doing, run }, Receipt { doing, state: State::Waiting(from) })
    }
}

/// Runs until every sender is gone, or the file fails for good.
pub(super) async fn run(
    mut connection: SqliteConnection,
    mut queue: mpsc::Receiver<Job>,
    fatal: watch::Sender<Option<String>>,
) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while queue.recv_many(&mut group, GROUP_MAX).await > 0 {
        if let Err(error) = commit(&mut connection, &mut group).await
            && is_fatal(&error)
        {
            tracing::error!(%error, "the database can no longer be written");
            fatal.send_replace(Some(error.to_string()));
        }
    }
    if let Err(error) = sqlx::Connection::close(connection).await {
        tracing::warn!(%error, "closing the database failed");
    }
}

/// One transaction for the whole group. Every job gets exactly one reply.
async fn commit(
    connection: &mut SqliteConnection,
    group: &mut Vec<Job>,
) -> Result<(), sqlx::Error> {
    let mut replies: Vec<(&'static str, Reply)> = Vec::with_capacity(group.len());
    let done = in_transaction(connection, group, &mut replies).await;
    if done.is_err() {
        // The transaction may be gone already; either way nothing of the group is there.
        let _ = sqlx::query("ROLLBACK").execute(connection).await;
    }
    let detail = done.as_ref().err().map(ToString::to_string);
    for (doing, reply) in replies {
        let result = detail.as_ref().map(|d| StoreError::unavailable(doing, d.clone()));
        reply(result.map_or(Ok(()), Err));
    }
    // Jobs that were not reached drop their senders with their closures: answer them as well.
    group.clear();
    done
}

async fn in_transaction(
    connection: &mut SqliteConnection,
    group: &mut Vec<Job>,
    replies: &mut Vec<(&'static str, Reply)>,
) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    for job in group.drain(..) {
        sqlx::query("SAVEPOINT work").execute(&mut *connection).await?;
        let (failed, reply) = (job.run)(&mut *connection).await;
        replies.push((job.doing, reply));
        if let Some(error) = failed {
            if is_fatal(&error) {
                return Err(error);
            }
            sqlx::query("ROLLBACK TO work").execute(&mut *connection).await?;
        }
        sqlx::query("RELEASE work").execute(&mut *connection).await?;
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(())
}

/// Result codes after which the file will not recover by itself: read-only (8), I/O error (10),
/// corrupt (11), full (13), not a database (26). From <https://sqlite.org/rescode.html>.
fn is_fatal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    let primary = code.and_then(|code| code.parse::<i64>().ok()).map(|code| code & 0xff);
    matches!(primary, Some(8 | 10 | 11 | 13 | 26))
}
