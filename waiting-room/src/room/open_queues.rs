//! The queues that this node has opened: each at its first touch, and kept from then on.
use super::parts::{Background, Parts};
use super::queue_handle::QueueHandle;
use super::status_keeper::keep_fresh;
use crate::{Error, QueueStatus};
use ledger::{Queue, QueueId, StoreError, read_lock, write_lock};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Every queue that was asked for since the start.
pub(crate) struct OpenQueues {
    parts: Parts,
    background: Background,
    open: RwLock<HashMap<QueueId, Arc<QueueHandle>>>,
    /// First touches of queues go one after another.
    opening: tokio::sync::Mutex<()>,
    /// Keepers of statuses; they end with the waiting room.
    keepers: TaskTracker,
}

impl OpenQueues {
    pub(super) fn new(parts: Parts, background: Background) -> Self {
        Self {
            parts,
            background,
            open: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
            keepers: TaskTracker::new(),
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<QueueHandle>> {
        read_lock(&self.open).values().cloned().collect()
    }

    /// Every queue that `Books` know.
    pub(crate) async fn recorded(&self) -> Result<Vec<Queue>, Error> {
        Ok(self.parts.queues.queues().await?)
    }

    /// A queue that must exist: somebody holds a token or a slot of it.
    pub(crate) async fn known(&self, queue: &QueueId) -> Result<Arc<QueueHandle>, Error> {
        let missing = || StoreError::broken("finding a queue", "there is no such queue").into();
        self.get(queue).await?.ok_or_else(missing)
    }

    /// A queue, opened at its first touch; `None` when there is no such queue.
    pub(crate) async fn get(&self, queue: &QueueId) -> Result<Option<Arc<QueueHandle>>, Error> {
        if let Some(handle) = self.opened(queue) {
            return Ok(Some(handle));
        }
        // Rare, and far larger than what everyone else waits in.
        Box::pin(self.open(queue)).await
    }

    /// The status of an open queue, if it is fresh.
    pub(super) fn status_now(&self, queue: &str) -> Option<Arc<QueueStatus>> {
        read_lock(&self.open).get(queue)?.status.fresh()
    }

    /// A queue, if this node has opened it.
    pub(crate) fn opened(&self, queue: &QueueId) -> Option<Arc<QueueHandle>> {
        read_lock(&self.open).get(queue).cloned()
    }

    async fn open(&self, queue: &QueueId) -> Result<Option<Arc<QueueHandle>>, Error> {
        // Those who wait for one that takes long are answered like those who wait for a recovery.
        let within = Duration::from_millis(self.parts.config.opening_wait_ms);
        let turn = timeout(within, self.opening.lock()).await;
        let Ok(_turn) = turn else { return Err(Error::Recovering) };
        if let Some(handle) = self.opened(queue) {
            return Ok(Some(handle));
        }
        let Some(found) = self.parts.queues.queue(queue).await? else { return Ok(None) };
        let handle = Arc::new(QueueHandle::open(&self.parts, &self.background, &found).await?);
        write_lock(&self.open).insert(found.id, handle.clone());
        self.background.open.fetch_add(1, Ordering::Relaxed);
        self.keepers.spawn(keep_fresh(Arc::downgrade(&handle.status)));
        Ok(Some(handle))
    }
}
