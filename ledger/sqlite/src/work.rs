//! A work for the writer, and the receipt by which its caller hears what became of it.
use super::connection::Connection;
use super::fault::{failed, is_fatal};
use ledger::StoreError;
use rusqlite::Error;
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
    fn run(self: Box<Self>, connection: &Connection) -> (Ran, Reply);

    /// Answers a work that was never run.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// How a work ended, as far as the others of its group are concerned.
pub(super) enum Ran {
    Done,
    /// It failed by itself, and has to be undone.
    Failed,
    /// The file cannot be written any more, for this reason.
    Fatally(String),
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
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
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
    F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    A: FnOnce() + Send + 'static,
{
    fn run(self: Box<Self>, connection: &Connection) -> (Ran, Reply) {
        let Self { doing, run, after, to } = *self;
        // The caller of either reply may have gone; its work stands all the same.
        match run(connection) {
            Ok(value) => {
                let reply: Reply = Box::new(move |committed| {
                    if committed.is_ok() {
                        after();
                    }
                    let _ = to.send(committed.map(|()| value));
                });
                (Ran::Done, reply)
            }
            Err(error) => {
                let ran =
                    if is_fatal(&error) { Ran::Fatally(error.to_string()) } else { Ran::Failed };
                let answer = failed(doing, error);
                (ran, Box::new(move |_| drop(to.send(Err(answer)))))
            }
        }
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.to.send(Err(error));
    }
}
