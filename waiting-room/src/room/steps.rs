//! Steps of `now_serving`: proposed by the store, committed in `Books`, then published.
use super::Inner;
use super::desk::Desk;
use crate::Error;
use ledger::books::{QueueStep, StepCommitted};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the pacer leaves a queue alone whose step could not be committed.
const STEP_RETRY: Duration = Duration::from_secs(1);

impl Inner {
    /// Proposes a step; `None` when nobody is to be called now.
    pub(crate) async fn propose(&self, desk: &Desk) -> Result<Option<(u64, QueueStep)>, Error> {
        if self.is_slow(&desk.id) {
            return Ok(None);
        }
        let (generation, step) = self.ask(desk, |mark| self.store.propose(mark)).await?;
        Ok(step.map(|step| (generation, step)))
    }

    /// Commits a step and publishes it.
    pub(super) async fn commit_step(
        &self,
        desk: &Desk,
        generation: u64,
        step: QueueStep,
    ) -> Result<(), Error> {
        match self.admissions.step(&desk.id, generation, step).await? {
            StepCommitted::Greatest(_) => {}
            StepCommitted::Stale => return self.recover(desk, generation).await,
        }
        self.ask(desk, |mark| self.store.publish(mark, step)).await?;
        desk.serve(step.now_serving);
        desk.touched.notify_one();
        self.counters.steps.increment(1);
        Ok(())
    }

    /// The pacer's step, in a task of its own so that no queue waits for another's commit.
    pub(crate) fn step_in_background(
        self: &Arc<Self>,
        desk: Arc<Desk>,
        generation: u64,
        step: QueueStep,
    ) {
        let room = self.clone();
        self.tasks.spawn(async move {
            if let Err(error) = room.commit_step(&desk, generation, step).await {
                tracing::warn!(%error, queue.id = %desk.id, "a step cannot be committed");
                tokio::time::sleep(STEP_RETRY).await;
            }
            desk.stepping.store(false, Ordering::Release);
        });
    }
}
