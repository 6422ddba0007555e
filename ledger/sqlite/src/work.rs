//! A work for the writer, and the receipt by which its caller hears what became of it.
use super::writer::is_constraint;
use futures_util::future::BoxFuture;
use ledger::StoreError;
use sqlx::SqliteConnection;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Sends a work's result to its caller once the fate of the whole transaction is known.
pub(super) type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// One work, with its way back.
pub(super) struct Job {
    pub(super) doing: &'static str,
    pub(super) work: Box<dyn Work>,
}

/// A work of any result.
pub(super) trait Work: Send {
    /// Runs it. An error undoes this work alone; its reply says so whatever the group's fate is.
    fn run<'c>(
        self: Box<Self>,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, (Option<sqlx::Error>, Reply)>;

    /// Answers a work that was never run.
    fn refuse(self: Box<Self>, error: StoreError);
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
    pub(super) fn refused(doing: &'static str, error: StoreError) -> Self {
        Self { doing, state: State::Refused(Some(error)) }
    }
}

impl<T> Unpin for Receipt<T> {}

impl<T> Future for Receipt<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let doing = self.doing;
        match &mut self.state {
            State::Waiting(receiver) => Pin::new(receiver).poll(cx).map(|answer| {
                // Only a writer that was torn away in the middle leaves a work without an answer.
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

/// A work as its caller wrote it: what to do, and what to do once that is durable.
struct Task<T, F, A> {
    doing: &'static str,
    run: F,
    after: A,
    to: oneshot::Sender<Result<T, StoreError>>,
}

impl Job {
    /// `after` runs on the writer once the work is durable, also when the caller has gone.
    pub(super) fn new<T, F, A>(doing: &'static str, run: F, after: A) -> (Self, Receipt<T>)
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + 'static,
        A: FnOnce() + Send + 'static,
    {
        let (to, from) = oneshot::channel();
        let work = Box::new(Task { doing, run, after, to });
        (Self { doing, work }, Receipt { doing, state: State::Waiting(from) })
    }
}

impl<T, F, A> Work for Task<T, F, A>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
        + Send
        + 'static,
    A: FnOnce() + Send + 'static,
{
    fn run<'c>(
        self: Box<Self>,
        connection: &'c mut SqliteConnection,
    ) -> BoxFuture<'c, (Option<sqlx::Error>, Reply)> {
        let Self { doing, run, after, to } = *self;
        // The caller of either reply may have gone; its work stands all the same.
        Box::pin(async move {
            match run(connection).await {
                Ok(value) => {
                    let reply: Reply = Box::new(move |committed| {
                        if committed.is_ok() {
                            after();
                        }
                        let _ = to.send(committed.map(|()| value));
                    });
                    (None, reply)
                }
                Err(error) => {
                    let answer = failed(doing, &error);
                    let reply: Reply = Box::new(move |_| drop(to.send(Err(answer))));
                    (Some(error), reply)
                }
            }
        })
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.to.send(Err(error));
    }
}

/// A work that fails by itself is undone. What broke a constraint, or met a row that cannot be
/// read, would fail the same way again.
fn failed(doing: &'static str, error: &sqlx::Error) -> StoreError {
    let for_ever = is_constraint(error)
        || matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. });
    if for_ever {
        StoreError::broken(doing, error)
    } else {
        StoreError::unavailable(doing, error.to_string())
    }
}
