//! Recovery of a queue's copy, at first touch and after every loss: loaded from `Books`, swapped
//! in, and the settings that changed meanwhile applied.
use super::queue_copy::QueueCopy;
use crate::Error;
use crate::line::steps_kept_millis;
use crate::metrics::RECOVERIES_TOTAL;
use crate::store::{QueueLoad, SettingsChange};
use ledger::books::{QueueRecord, QueueStep, Raised, StepCommitted};
use ledger::{CopySource, Fenced, Queue, StoreError};
use metrics::counter;

impl CopySource for QueueCopy {
    type Error = Error;

    async fn generation(&self) -> Result<u64, Error> {
        Ok(self.record().await?.generation)
    }

    async fn raise(&self, from: u64) -> Result<Raised, Error> {
        Ok(self.progress.raise_generation(self.id(), from).await?)
    }

    async fn probe(&self, generation: u64) -> Result<bool, Error> {
        let looked = self.store().look(self.at(generation), None).await?;
        let Fenced::Is((snapshot, _)) = looked else { return Ok(false) };
        self.serve(snapshot.now_serving);
        Ok(true)
    }

    /// Loads the copy from `Books`; from here on everyone else is stale.
    async fn rebuild(&self, generation: u64) -> Result<(), Error> {
        let loaded = self.load(generation).await?;
        let revision = loaded.queue.revision;
        let now_serving = loaded.record.now_serving;
        self.store().swap_in(loaded, self.now()).await?;
        // Settings that changed since they were loaded.
        let queue = self.queue().await?;
        if queue.revision > revision {
            let Queue { settings, revision, .. } = queue;
            let change = SettingsChange { settings, revision, recorded: true };
            self.store().configure(self.at(generation), change).await?;
        }
        self.set_opens_at(queue.opens_at);
        if !self.probe(generation).await? {
            return Err(Error::Recovering);
        }
        counter!(RECOVERIES_TOTAL).increment(1);
        tracing::info!(queue.id = %self.id(), generation, now_serving, "the queue was loaded");
        Ok(())
    }

    /// Raising it again takes nothing away: whatever a copy has, `Books` have too.
    fn is_rebuilt_elsewhere(&self, _generation: u64) -> bool {
        false
    }
}

impl QueueCopy {
    async fn load(&self, generation: u64) -> Result<QueueLoad, Error> {
        let mut record = self.record().await?;
        let last = self.progress.steps(self.id(), i64::MAX).await?.last().copied();
        let granting_millis = last.map_or(0, |step| step.granting_millis);
        if record.admitted_max > record.now_serving {
            // An admission was committed and its step was not: whoever has it was called.
            let now_serving = record.admitted_max;
            let step = QueueStep { now_serving, at: self.now(), granting_millis };
            match self.progress.step(self.id(), generation, step).await? {
                StepCommitted::Greatest(greatest) => record.now_serving = greatest,
                StepCommitted::Stale => return Err(Error::Recovering),
            }
        }
        let queue = self.queue().await?;
        let since = granting_millis.saturating_sub(steps_kept_millis(&queue.settings));
        let steps = self.progress.steps(self.id(), since).await?;
        let admissions = self.admissions.admissions(self.id()).await?;
        record.generation = generation;
        Ok(QueueLoad { queue, record, steps, admissions })
    }

    async fn record(&self) -> Result<QueueRecord, Error> {
        let record = self.progress.record(self.id()).await?;
        Ok(record.ok_or_else(|| StoreError::broken("recovering a queue", "it has no record"))?)
    }

    async fn queue(&self) -> Result<Queue, Error> {
        let queue = self.queues.queue(self.id()).await?;
        Ok(queue.ok_or_else(|| StoreError::broken("recovering a queue", "it has no settings"))?)
    }
}
