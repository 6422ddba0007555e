//! Admissions on their way into `Books`: those that arrive together share one commit.
use super::parts::Background;
use crate::{Error, Parts};
use ledger::books::{Admissions, Admitted};
use ledger::{Admission, QueueId, StoreError, lock};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// The most rows one commit takes.
const ROWS_MAX: usize = 512;

/// Records one queue's admissions.
pub(super) struct AdmissionWriter {
    queue: QueueId,
    admissions: Arc<dyn Admissions>,
    tasks: TaskTracker,
    waiting_max: usize,
    gathered: Mutex<Gathered>,
}

/// Admissions that wait for their commit.
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

impl AdmissionWriter {
    pub(super) fn new(parts: &Parts, background: &Background, queue: QueueId) -> Self {
        Self {
            queue,
            admissions: parts.admissions.clone(),
            tasks: background.tasks.clone(),
            waiting_max: parts.config.join_queue_max,
            gathered: Mutex::default(),
        }
    }

    /// Records an admission. An outcome that nobody knows is asked for again: the row is unique,
    /// so the second answer tells what became of the first.
    pub(super) async fn admit(
        self: &Arc<Self>,
        generation: u64,
        row: Admission,
    ) -> Result<Admitted, Error> {
        let first = self.admit_once(generation, row.clone()).await?;
        match first {
            Err(error) if error.is_unknown() => {
                // Even a refusal now does not undo what the first one may have done.
                fn unknown(error: impl std::fmt::Display) -> StoreError {
                    StoreError::unknown("recording an admission", error.to_string())
                }
                let again = self.admit_once(generation, row).await.map_err(unknown)?;
                Ok(again.map_err(unknown)?)
            }
            answer => Ok(answer?),
        }
    }

    async fn admit_once(
        self: &Arc<Self>,
        generation: u64,
        row: Admission,
    ) -> Result<Result<Admitted, StoreError>, Error> {
        let (reply, from) = oneshot::channel();
        let first = {
            let mut gathered = lock(&self.gathered);
            if gathered.waiting.len() >= self.waiting_max {
                return Err(Error::Overloaded);
            }
            gathered.waiting.push(Waiting { generation, row, reply });
            !std::mem::replace(&mut gathered.busy, true)
        };
        if first {
            let writer = self.clone();
            self.tasks.spawn(async move { writer.commit().await });
        }
        let stopped = |_| StoreError::unknown("recording an admission", "the commit was dropped");
        Ok(from.await.unwrap_or_else(|gone| Err(stopped(gone))))
    }

    async fn commit(&self) {
        loop {
            let waiting = self.take();
            let Some(generation) = waiting.first().map(|first| first.generation) else { return };
            let (rows, replies): (Vec<_>, Vec<_>) =
                waiting.into_iter().map(|one| (one.row, one.reply)).unzip();
            let answers = self.admissions.admit(&self.queue, generation, &rows).await;
            for (at, reply) in replies.into_iter().enumerate() {
                // Whoever went away finds the row when it asks again.
                let _ = reply.send(nth(&answers, at));
            }
        }
    }

    /// The next rows of one generation; none ends the turn.
    fn take(&self) -> Vec<Waiting> {
        let mut gathered = lock(&self.gathered);
        let Some(generation) = gathered.waiting.first().map(|first| first.generation) else {
            gathered.busy = false;
            return Vec::new();
        };
        let same = gathered.waiting.iter().take_while(|row| row.generation == generation);
        let count = same.take(ROWS_MAX).count();
        gathered.waiting.drain(..count).collect()
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
