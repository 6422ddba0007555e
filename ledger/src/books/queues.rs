//! Queues: their settings, and the history of these.
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::event::{Queue, QueuePatch, QueueSettings};
use crate::ids::QueueId;
use async_trait::async_trait;

/// The answer to a change of a queue's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patched {
    /// The queue as it is now.
    Done(Queue),
    /// Somebody changed it since the revision that the caller saw; nothing was changed.
    Stale,
    NoSuchQueue,
}

/// What a queue's rate and capacity were from a moment on: kept for the audit of I10 and I11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsChange {
    pub at: Timestamp,
    pub settings: QueueSettings,
}

/// The record of queues and their settings. [`Events`](super::Events) makes a queue with its first
/// event.
#[async_trait]
pub trait Queues: Send + Sync {
    async fn queue(&self, id: &QueueId) -> Result<Option<Queue>, StoreError>;

    async fn queues(&self) -> Result<Vec<Queue>, StoreError>;

    /// Changes a queue's settings, if its revision still is `from`, and keeps the change with its
    /// time.
    async fn patch_queue(
        &self,
        id: &QueueId,
        from: u64,
        patch: QueuePatch,
        now: Timestamp,
    ) -> Result<Patched, StoreError>;

    /// The history of a queue's settings, oldest first.
    async fn limits(&self, id: &QueueId) -> Result<Vec<LimitsChange>, StoreError>;
}
