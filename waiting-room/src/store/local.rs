//! The embedded backend: the pure core in memory, one mutex a queue.
use super::{
    ClaimOutcome, CopyRef, PlaceStatus, QueueLoad, QueueSnapshot, QueueStore, Reserve, Reserved,
    SettingsChange, SlotAnswer, SlotRequest,
};
use crate::line::Line;
use async_trait::async_trait;
use ledger::books::QueueStep;
use ledger::{Fenced, QueueId, StoreError, Timestamp, lock, read_lock, write_lock};
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
        write_lock(&self.lines).remove(queue);
    }

    /// What a line counts and no answer shows.
    #[cfg(any(test, feature = "conformance"))]
    pub fn counters(&self, queue: &QueueId) -> Vec<i64> {
        let lines = read_lock(&self.lines);
        lock(&lines[queue]).counters()
    }

    fn with<T>(&self, copy: CopyRef<'_>, change: impl FnOnce(&mut Line) -> T) -> Fenced<T> {
        let lines = read_lock(&self.lines);
        let Some(line) = lines.get(copy.queue) else { return Fenced::Lost };
        let mut held = lock(line);
        if is_lost(line) || held.generation() != copy.generation {
            return Fenced::Lost;
        }
        Fenced::Is(change(&mut held))
    }
}

/// A change that panicked may have been half made: such a copy is lost.
fn is_lost(line: &Mutex<Line>) -> bool {
    line.is_poisoned()
}

#[async_trait]
impl QueueStore for LocalQueueStore {
    async fn reserve(
        &self,
        copy: CopyRef<'_>,
        request: Reserve,
    ) -> Result<Fenced<Reserved>, StoreError> {
        Ok(self.with(copy, |line| line.reserve(request, copy.now)))
    }

    async fn propose(&self, copy: CopyRef<'_>) -> Result<Fenced<Option<QueueStep>>, StoreError> {
        Ok(self.with(copy, |line| line.propose(copy.now)))
    }

    async fn publish(&self, copy: CopyRef<'_>, step: QueueStep) -> Result<Fenced<()>, StoreError> {
        Ok(self.with(copy, |line| line.publish(step, copy.now)))
    }

    async fn take(
        &self,
        copy: CopyRef<'_>,
        request: SlotRequest,
    ) -> Result<Fenced<SlotAnswer>, StoreError> {
        Ok(self.with(copy, |line| line.take(&request, copy.now)))
    }

    async fn settle(
        &self,
        copy: CopyRef<'_>,
        number: u64,
        outcome: ClaimOutcome,
    ) -> Result<Fenced<()>, StoreError> {
        Ok(self.with(copy, |line| line.settle(number, outcome, copy.now)))
    }

    async fn look(
        &self,
        copy: CopyRef<'_>,
        number: Option<u64>,
    ) -> Result<Fenced<(QueueSnapshot, Option<PlaceStatus>)>, StoreError> {
        Ok(self.with(copy, |line| line.look(number, copy.now)))
    }

    async fn configure(
        &self,
        copy: CopyRef<'_>,
        change: SettingsChange,
    ) -> Result<Fenced<Timestamp>, StoreError> {
        Ok(self.with(copy, |line| line.configure(change, copy.now)))
    }

    async fn swap_in(&self, loaded: QueueLoad, now: Timestamp) -> Result<(), StoreError> {
        let mut lines = write_lock(&self.lines);
        let generation = loaded.record.generation;
        let as_new =
            |line: &Arc<Mutex<Line>>| !is_lost(line) && lock(line).generation() >= generation;
        if !lines.get(&loaded.queue.id).is_some_and(as_new) {
            let line = Line::load(&loaded, now);
            lines.insert(loaded.queue.id, Arc::new(Mutex::new(line)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Queue, QueueSettings};

    #[tokio::test]
    async fn a_copy_in_which_a_change_panicked_is_lost_until_it_is_loaded_again() {
        let store = LocalQueueStore::new();
        let now = Timestamp::from_millis(0);
        let queue = Queue {
            id: QueueId::parse("q").unwrap(),
            settings: QueueSettings::default(),
            opens_at: now,
            revision: 1,
        };
        let load = QueueLoad {
            record: ledger::books::QueueRecord {
                generation: 2,
                leased_to: 0,
                lease_start: 0,
                now_serving: 0,
                admitted_max: 0,
            },
            queue: queue.clone(),
            steps: Vec::new(),
            admissions: Vec::new(),
        };
        let copy = CopyRef { queue: &queue.id, generation: 2, now };
        store.swap_in(load.clone(), now).await.unwrap();
        assert!(matches!(store.look(copy, None).await.unwrap(), Fenced::Is(_)));
        std::thread::scope(|scope| {
            let changing = scope.spawn(|| store.with(copy, |_| panic!("half way through")));
            assert!(changing.join().is_err());
        });
        assert_eq!(store.look(copy, None).await.unwrap(), Fenced::Lost);
        store.swap_in(load, now).await.unwrap();
        assert!(matches!(store.look(copy, None).await.unwrap(), Fenced::Is(_)));
    }
}
