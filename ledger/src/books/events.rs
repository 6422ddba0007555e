//! Events, and the generations of their seat copies.
use super::queue_progress::Raised;
use crate::error::StoreError;
use crate::event::{Event, QueueSettings};
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

/// The record of events and their layouts.
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

    /// The events that stand behind a queue.
    async fn events_of(&self, queue: &QueueId) -> Result<Vec<EventId>, StoreError>;
}

/// Which rebuild of an event's seat copy is in force (`copies-are-fenced`).
#[async_trait]
pub trait SeatGenerations: Send + Sync {
    /// The generation of the event's seat copy. `None`: no such event.
    async fn seat_generation(&self, id: &EventId) -> Result<Option<u64>, StoreError>;

    /// Raises the seat generation by one if it still is `from`.
    async fn raise_seat_generation(&self, id: &EventId, from: u64) -> Result<Raised, StoreError>;
}
