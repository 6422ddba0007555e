//! Events and queue settings.
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::event::{Event, Queue, QueuePatch, QueueSettings};
use crate::ids::{EventId, QueueId};
use crate::page::{Cursor, Page};
use async_trait::async_trait;

/// The answer to a new event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventCreated {
    Created,
    /// The event names a queue that does not exist.
    NoSuchQueue,
}

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

/// The record of events, their layouts, and the queues in front of them.
#[async_trait]
pub trait Events: Send + Sync {
    /// Adds an event; with `queue`, its queue too, opening at the event's `on_sale_at`. Without,
    /// the event joins the queue that it names; one that exists keeps its own settings. The same
    /// event again changes nothing.
    async fn create(
        &self,
        event: &Event,
        queue: Option<QueueSettings>,
    ) -> Result<EventCreated, StoreError>;

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError>;

    /// Events in order of creation.
    async fn events(&self, cursor: Cursor) -> Result<Page<Event>, StoreError>;

    async fn queue(&self, id: &QueueId) -> Result<Option<Queue>, StoreError>;

    async fn queues(&self) -> Result<Vec<Queue>, StoreError>;

    /// The events that stand behind a queue.
    async fn events_of(&self, queue: &QueueId) -> Result<Vec<EventId>, StoreError>;

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

    /// The generation of the event's seat copy. `None`: no such event.
    async fn seat_generation(&self, id: &EventId) -> Result<Option<u64>, StoreError>;

    /// Raises the seat generation by one if it still is `from`.
    async fn raise_seat_generation(
        &self,
        id: &EventId,
        from: u64,
    ) -> Result<super::Raised, StoreError>;
}
