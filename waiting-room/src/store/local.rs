//! The embedded backend: the pure core in memory, one mutex a queue.
use super::{
    Ask, Change, Kept, Loaded, Mark, Place, QueueStore, Reserve, Reserved, Settlement, Snapshot,
};
use super::{QueueStep, Taken};
use crate::line::Line;
use async_trait::async_trait;
use ledger::{QueueId, StoreError, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

/// [`QueueStore`] in this process; it is lost with it, and recovered from `Books`.
#[derive(Default)]
pub struct LocalQueueStore {
    lines: RwLock<HashMap<QueueId, Arc<Mutex<Line>>>>,
}

impl LocalQueueStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets a queue, as a wiped store would.
    #[cfg(any(test, feature = "conformance"))]
    pub fn forget(&self, queue: &QueueId) {
        self.lines.write().expect("no panic while the lock is held").remove(queue);
    }

    /// What a line counts and no answer tells.
    #[cfg(any(test, feature = "conformance"))]
    pub fn counters(&self, queue: &QueueId) -> Vec<i64> {
        let lines = self.lines.read().expect("no panic while the lock is held");
        lines[queue].lock().expect("no panic while the lock is held").counters()
    }

    fn with<T>(&self, mark: Mark<'_>, script: impl FnOnce(&mut Line) -> T) -> Kept<T> {
        let lines = self.lines.read().expect("no panic while the lock is held");
        let Some(line) = lines.get(mark.queue) else { return Kept::Lost };
        let mut line = line.lock().expect("no panic while the lock is held");
        if line.generation() == mark.generation { Kept::Is(script(&mut line)) } else { Kept::Lost }
    }
}

#[async_trait]
impl QueueStore for LocalQueueStore {
    async fn reserve(&self, mark: Mark<'_>, ask: Reserve) -> Result<Kept<Reserved>, StoreError> {
        Ok(self.with(mark, |line| line.reserve(ask, mark.now)))
    }

    async fn propose(&self, mark: Mark<'_>) -> Result<Kept<Option<QueueStep>>, StoreError> {
        Ok(self.with(mark, |line| line.propose(mark.now)))
    }

    async fn publish(&self, mark: Mark<'_>, step: QueueStep) -> Result<Kept<()>, StoreError> {
        Ok(self.with(mark, |line| line.publish(step, mark.now)))
    }

    async fn take(&self, mark: Mark<'_>, ask: Ask) -> Result<Kept<Taken>, StoreError> {
        Ok(self.with(mark, |line| line.take(&ask, mark.now)))
    }

    async fn settle(
        &self,
        mark: Mark<'_>,
        number: u64,
        settlement: Settlement,
    ) -> Result<Kept<()>, StoreError> {
        Ok(self.with(mark, |line| line.settle(number, settlement, mark.now)))
    }

    async fn look(
        &self,
        mark: Mark<'_>,
        number: Option<u64>,
    ) -> Result<Kept<(Snapshot, Option<Place>)>, StoreError> {
        Ok(self.with(mark, |line| line.look(number, mark.now)))
    }

    async fn configure(
        &self,
        mark: Mark<'_>,
        change: Change,
    ) -> Result<Kept<Timestamp>, StoreError> {
        Ok(self.with(mark, |line| line.configure(change, mark.now)))
    }

    async fn swap_in(&self, loaded: Loaded, now: Timestamp) -> Result<(), StoreError> {
        let mut lines = self.lines.write().expect("no panic while the lock is held");
        let generation = loaded.record.generation;
        let as_new = lines.get(&loaded.queue.id).is_some_and(|line| {
            line.lock().expect("no panic while the lock is held").generation() >= generation
        });
        if !as_new {
            let line = Line::load(&loaded, now);
            lines.insert(loaded.queue.id, Arc::new(Mutex::new(line)));
        }
        Ok(())
    }
}
