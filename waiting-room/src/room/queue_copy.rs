//! A queue's copy as one node calls it: fenced by its generation, recovered when it is lost.
use crate::store::{CopyRef, PlaceStatus, QueueStore};
use crate::{Error, Parts};
use ledger::books::{Admissions, QueueProgress, Queues};
use ledger::{Clock, Fenced, FencedCopy, Queue, QueueId, StoreError, Timestamp};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// One queue's copy, the record that it is loaded from, and what of it only ever grows.
pub(crate) struct QueueCopy {
    id: QueueId,
    store: Arc<dyn QueueStore>,
    pub(super) progress: Arc<dyn QueueProgress>,
    pub(super) admissions: Arc<dyn Admissions>,
    pub(super) queues: Arc<dyn Queues>,
    clock: Clock,
    fenced: FencedCopy,
    /// The greatest step this node knows to be published.
    served: AtomicU64,
    opens_at: AtomicI64,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Fenced<T>, StoreError>> + Send + 'a>>;

impl QueueCopy {
    pub(super) fn new(parts: &Parts, queue: &Queue) -> Self {
        Self {
            id: queue.id.clone(),
            store: parts.store.clone(),
            progress: parts.progress.clone(),
            admissions: parts.admissions.clone(),
            queues: parts.queues.clone(),
            clock: parts.clock.clone(),
            fenced: FencedCopy::new(parts.config.recovery),
            served: AtomicU64::new(0),
            opens_at: AtomicI64::new(queue.opens_at.millis()),
        }
    }

    pub(crate) fn id(&self) -> &QueueId {
        &self.id
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Calls the copy, recovering it when it is lost. Also says which generation answered: what
    /// follows in `Books` is under that one.
    pub(super) async fn call<'a, T>(
        &'a self,
        call: impl Fn(&'a dyn QueueStore, CopyRef<'a>) -> Answer<'a, T>,
    ) -> Result<(u64, T), Error> {
        self.fenced.call(self, |generation| call(&*self.store, self.at(generation))).await
    }

    /// Recovers the copy that `Books` say is older than theirs.
    pub(super) async fn recover(&self, stale: u64) -> Result<(), Error> {
        self.fenced.recover(self, stale).await
    }

    /// Where one number stands.
    pub(super) async fn place(&self, number: u64) -> Result<PlaceStatus, Error> {
        let (_, looked) = self.call(|store, at| store.look(at, Some(number))).await?;
        Ok(looked.1.unwrap_or(PlaceStatus::Waiting))
    }

    pub(super) fn store(&self) -> &dyn QueueStore {
        &*self.store
    }

    pub(super) fn at(&self, generation: u64) -> CopyRef<'_> {
        CopyRef { queue: &self.id, generation, now: self.clock.now() }
    }

    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Acquire)
    }

    pub(super) fn serve(&self, now_serving: u64) {
        self.served.fetch_max(now_serving, Ordering::AcqRel);
    }

    pub(super) fn opens_at(&self) -> Timestamp {
        Timestamp::from_millis(self.opens_at.load(Ordering::Acquire))
    }

    pub(super) fn set_opens_at(&self, opens_at: Timestamp) {
        self.opens_at.store(opens_at.millis(), Ordering::Release);
    }
}
