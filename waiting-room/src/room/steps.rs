//! Steps of `now_serving`: proposed by the store, committed in `Books`, then published.
use super::parts::Background;
use super::queue_copy::QueueCopy;
use super::status_keeper::StatusKeeper;
use crate::metrics::PACER_STEPS_TOTAL;
use crate::{Error, Parts};
use ledger::books::{QueueProgress, QueueStep, StepCommitted};
use metrics::{Counter, counter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Moves one queue's `now_serving`.
pub(crate) struct Stepper {
    copy: Arc<QueueCopy>,
    status: Arc<StatusKeeper>,
    progress: Arc<dyn QueueProgress>,
    tasks: TaskTracker,
    /// How long the pacer leaves a queue alone whose step could not be committed.
    retry: Duration,
    /// A step of the pacer is being committed.
    stepping: AtomicBool,
    steps: Counter,
}

impl Stepper {
    pub(super) fn new(
        parts: &Parts,
        background: &Background,
        copy: Arc<QueueCopy>,
        status: Arc<StatusKeeper>,
    ) -> Self {
        Self {
            copy,
            status,
            progress: parts.progress.clone(),
            tasks: background.tasks.clone(),
            retry: Duration::from_millis(parts.config.step_retry_ms),
            stepping: AtomicBool::new(false),
            steps: counter!(PACER_STEPS_TOTAL),
        }
    }

    /// Calls whoever may be called, unless a step of this queue is being committed. The commit is
    /// a task of its own, so that no queue waits for another's.
    pub(crate) async fn pace(self: &Arc<Self>) {
        if self.stepping.swap(true, Ordering::AcqRel) {
            return;
        }
        match self.propose().await {
            Ok(Some((generation, step))) => {
                let stepper = self.clone();
                self.tasks.spawn(async move { stepper.commit_paced(generation, step).await });
                return;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, queue.id = %self.copy.id(), "the queue cannot be paced");
            }
        }
        self.stepping.store(false, Ordering::Release);
    }

    async fn commit_paced(&self, generation: u64, step: QueueStep) {
        if let Err(error) = self.commit(generation, step).await {
            tracing::warn!(%error, queue.id = %self.copy.id(), "a step cannot be committed");
            tokio::time::sleep(self.retry).await;
        }
        self.stepping.store(false, Ordering::Release);
    }

    /// Proposes a step; `None` when nobody is to be called now.
    pub(super) async fn propose(&self) -> Result<Option<(u64, QueueStep)>, Error> {
        if self.status.is_slow() {
            return Ok(None);
        }
        let (generation, step) = self.copy.call(|store, at| store.propose(at)).await?;
        Ok(step.map(|step| (generation, step)))
    }

    /// Commits a step and publishes it.
    pub(super) async fn commit(&self, generation: u64, step: QueueStep) -> Result<(), Error> {
        match self.progress.step(self.copy.id(), generation, step).await? {
            StepCommitted::Greatest(_) => {}
            StepCommitted::Stale => return self.copy.recover(generation).await,
        }
        self.copy.call(|store, at| store.publish(at, step)).await?;
        self.copy.serve(step.now_serving);
        self.status.touch();
        self.steps.increment(1);
        Ok(())
    }
}
