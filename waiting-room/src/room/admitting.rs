//! Admissions on their way into `Books`: those that arrive together share one commit.
use super::Inner;
use super::desk::Desk;
use crate::Error;
use ledger::books::Admitted;
use ledger::{Admission, StoreError};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// The most rows one commit takes.
const ROWS_MAX: usize = 512;

/// Admissions that wait for their commit.
#[derive(Default)]
pub(super) struct Admitting(Mutex<Gathered>);

#[derive(Default)]
struct Gathered {
    waiting: Vec<Waiting>,
    busy: bool,
}

struct Waiting {
    generation: u64,
    row: Admission,
    reply: oneshot::Sender<Result<Admitted, StoreError>>,
}

impl Admitting {
    /// The next rows of one generation; none ends the turn.
    fn take(&self) -> Vec<Waiting> {
        let mut gathered = self.0.lock().expect("no panic while the lock is held");
        let Some(generation) = gathered.waiting.first().map(|first| first.generation) else {
            gathered.busy = false;
            return Vec::new();
        };
        let same = gathered.waiting.iter().take_while(|row| row.generation == generation);
        let count = same.take(ROWS_MAX).count();
        gathered.waiting.drain(..count).collect()
    }
}

impl Inner {
    /// Records an admission. An outcome that nobody knows is asked for again: the row is unique,
    /// so the second answer tells what became of the first.
    pub(super) async fn admit(
        self: &Arc<Self>,
        desk: &Arc<Desk>,
        generation: u64,
        row: Admission,
    ) -> Result<Admitted, Error> {
        let first = self.admit_once(desk, generation, row.clone()).await?;
        match first {
            Err(error) if error.is_unknown() => {
                // Even a refusal now does not undo what the first one may have done.
                fn unknown(error: impl std::fmt::Display) -> StoreError {
                    StoreError::unknown("recording an admission", error.to_string())
                }
                let again = self.admit_once(desk, generation, row).await.map_err(unknown)?;
                Ok(again.map_err(unknown)?)
            }
            answer => Ok(answer?),
        }
    }

    async fn admit_once(
        self: &Arc<Self>,
        desk: &Arc<Desk>,
        generation: u64,
        row: Admission,
    ) -> Result<Result<Admitted, StoreError>, Error> {
        let (reply, from) = oneshot::channel();
        let first = {
            let mut gathered = desk.admitting.0.lock().expect("no panic while the lock is held");
            if gathered.waiting.len() >= self.config.join_queue_max {
                return Err(Error::Overloaded);
            }
            gathered.waiting.push(Waiting { generation, row, reply });
            !std::mem::replace(&mut gathered.busy, true)
        };
        if first {
            let (room, desk) = (self.clone(), desk.clone());
            self.tasks.spawn(async move { room.commit_admissions(&desk).await });
        }
        let stopped = |_| StoreError::unknown("recording an admission", "the commit was dropped");
        Ok(from.await.unwrap_or_else(|gone| Err(stopped(gone))))
    }

    async fn commit_admissions(&self, desk: &Desk) {
        loop {
            let waiting = desk.admitting.take();
            let Some(generation) = waiting.first().map(|first| first.generation) else { return };
            let (rows, replies): (Vec<_>, Vec<_>) =
                waiting.into_iter().map(|one| (one.row, one.reply)).unzip();
            let answers = self.admissions.admit(&desk.id, generation, &rows).await;
            for (at, reply) in replies.into_iter().enumerate() {
                // Whoever went away finds the row when it asks again.
                let _ = reply.send(nth(&answers, at));
            }
        }
    }
}

/// The answer to row `at`; an error is everyone's.
fn nth(answers: &Result<Vec<Admitted>, StoreError>, at: usize) -> Result<Admitted, StoreError> {
    const DOING: &str = "recording an admission";
    match answers {
        Ok(answers) => {
            answers.get(at).cloned().ok_or_else(|| StoreError::broken(DOING, "no answer came"))
        }
        Err(error @ StoreError::Unavailable { .. }) => {
            Err(StoreError::unavailable(DOING, error.to_string()))
        }
        Err(error @ StoreError::Unknown { .. }) => {
            Err(StoreError::unknown(DOING, error.to_string()))
        }
        Err(error @ StoreError::Broken { .. }) => Err(StoreError::broken(DOING, error)),
    }
}
