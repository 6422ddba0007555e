//! Recovery: the one way a queue's copy comes to be, at first touch and after every loss.
use super::Inner;
use super::desk::Desk;
use crate::Error;
use crate::line::steps_kept_millis;
use crate::metrics::RECOVERIES_TOTAL;
use crate::store::{Change, Kept, Loaded, Mark};
use ledger::books::{QueueRecord, QueueStep, Raised, StepCommitted};
use ledger::{Queue, StoreError};
use metrics::counter;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a call waits for a recovery that another one does, before it answers 503.
const WAIT_FOR_RECOVERY: Duration = Duration::from_millis(500);
/// A generation that another node raised and has not loaded for so long is raised again: that
/// node is gone. Longer than loading takes, or two nodes would keep taking it from each other.
const ANOTHER_RECOVERS: Duration = Duration::from_secs(3);
/// How often a node looks whether another node has finished recovering.
const LOOKS: u32 = 20;
const LOOK_MILLIS: u64 = 20;

impl Inner {
    /// Makes the copy whole again, unless somebody did since `lost` was found lost.
    pub(super) async fn recover(&self, desk: &Desk, lost: u64) -> Result<(), Error> {
        let turn = timeout(WAIT_FOR_RECOVERY, desk.recovering.lock()).await;
        let _turn = turn.map_err(|_| Error::Recovering)?;
        if desk.generation() != lost {
            return Ok(());
        }
        let found = self.record(desk).await?.generation;
        if self.adopt(desk, found).await? {
            return Ok(());
        }
        if found > lost && found == desk.raised.load(Ordering::Acquire) {
            // Ours, and it could not be loaded then.
            return self.rebuild(desk, found).await;
        }
        if lost > 0 && found > lost && another_recovers(desk, found) {
            return self.await_rebuilt(desk, found).await;
        }
        match self.admissions.raise_generation(&desk.id, found).await? {
            Raised::Won(generation) => {
                desk.raised.store(generation, Ordering::Release);
                self.rebuild(desk, generation).await
            }
            Raised::Lost(generation) => self.await_rebuilt(desk, generation).await,
        }
    }

    /// True when the store has a copy of this generation.
    async fn adopt(&self, desk: &Desk, generation: u64) -> Result<bool, Error> {
        let mark = Mark { queue: &desk.id, generation, now: self.clock.now() };
        let Kept::Is((snapshot, _)) = self.store.look(mark, None).await? else { return Ok(false) };
        desk.serve(snapshot.now_serving);
        desk.adopt(generation);
        Ok(true)
    }

    /// Loads the copy from `Books`; from here on everyone else is stale.
    async fn rebuild(&self, desk: &Desk, generation: u64) -> Result<(), Error> {
        let loaded = self.load(desk, generation).await?;
        let revision = loaded.queue.revision;
        let now_serving = loaded.record.now_serving;
        self.store.swap_in(loaded, self.clock.now()).await?;
        // Settings that changed since they were loaded.
        let queue = self.queue(desk).await?;
        if queue.revision > revision {
            let mark = Mark { queue: &desk.id, generation, now: self.clock.now() };
            let Queue { settings, revision, .. } = queue;
            self.store.configure(mark, Change { settings, revision, recorded: true }).await?;
        }
        desk.set_opens_at(queue.opens_at);
        if !self.adopt(desk, generation).await? {
            return Err(Error::Recovering);
        }
        counter!(RECOVERIES_TOTAL).increment(1);
        tracing::info!(queue.id = %desk.id, generation, now_serving, "the queue was loaded");
        Ok(())
    }

    async fn load(&self, desk: &Desk, generation: u64) -> Result<Loaded, Error> {
        let mut record = self.record(desk).await?;
        let last = self.admissions.steps(&desk.id, i64::MAX).await?.last().copied();
        let granting_millis = last.map_or(0, |step| step.granting_millis);
        if record.admitted_max > record.now_serving {
            // An admission was committed and its step was not: whoever has it was called.
            let now_serving = record.admitted_max;
            let step = QueueStep { now_serving, at: self.clock.now(), granting_millis };
            match self.admissions.step(&desk.id, generation, step).await? {
                StepCommitted::Greatest(greatest) => record.now_serving = greatest,
                StepCommitted::Stale => return Err(Error::Recovering),
            }
        }
        let queue = self.queue(desk).await?;
        let since = granting_millis.saturating_sub(steps_kept_millis(&queue.settings));
        let steps = self.admissions.steps(&desk.id, since).await?;
        let admissions = self.admissions.admissions(&desk.id).await?;
        record.generation = generation;
        Ok(Loaded { queue, record, steps, admissions })
    }

    /// Another node recovers: waits a little for it, then the caller answers 503.
    async fn await_rebuilt(&self, desk: &Desk, generation: u64) -> Result<(), Error> {
        for _ in 0..LOOKS {
            if self.adopt(desk, generation).await? {
                return Ok(());
            }
            let millis = LOOK_MILLIS + self.ids.random() % LOOK_MILLIS;
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        Err(Error::Recovering)
    }

    async fn record(&self, desk: &Desk) -> Result<QueueRecord, Error> {
        let record = self.admissions.record(&desk.id).await?;
        Ok(record.ok_or_else(|| StoreError::broken("recovering a queue", "it has no record"))?)
    }

    async fn queue(&self, desk: &Desk) -> Result<Queue, Error> {
        let queue = self.events.queue(&desk.id).await?;
        Ok(queue.ok_or_else(|| StoreError::broken("recovering a queue", "it has no settings"))?)
    }
}

/// True while whoever raised the generation may still be loading it.
fn another_recovers(desk: &Desk, generation: u64) -> bool {
    let mut awaited = desk.awaited.lock().expect("no panic while the lock is held");
    match *awaited {
        Some((which, since)) if which == generation => since.elapsed() < ANOTHER_RECOVERS,
        Some(_) | None => {
            *awaited = Some((generation, Instant::now()));
            true
        }
    }
}
