//! How far each queue has come: its copy's generation, number leases and steps.
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::ids::QueueId;
use async_trait::async_trait;

/// What the record knows of a queue's progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    pub generation: u64,
    /// Numbers up to and including this one may have been given.
    pub leased_to: u64,
    /// The first number of the last lease: numbers before it were surely given or skipped.
    pub lease_start: u64,
    /// The greatest step committed.
    pub now_serving: u64,
    /// The greatest number that has an admission; 0 for none.
    pub admitted_max: u64,
}

/// A step of `now_serving`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueStep {
    /// Everyone up to this number is called.
    pub now_serving: u64,
    pub at: Timestamp,
    /// Milliseconds in which a claim could be granted, since the queue began: the time that
    /// claim windows run on.
    pub granting_millis: i64,
}

/// The answer to a lease of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leased {
    /// Numbers `first..=last` are the caller's to give.
    Numbers { first: u64, last: u64 },
    /// The caller's copy is of an older generation.
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepCommitted {
    /// The greatest step in the record, which may be another node's.
    Greatest(u64),
    Stale,
}

/// The answer to raising a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// The caller recovers; everyone else is stale now.
    Won(u64),
    /// Somebody else raised it to this.
    Lost(u64),
}

/// The record of how far queues have come. Leases and steps read the generation under the same
/// lock as they write, and are refused under an older one (`copies-are-fenced`).
#[async_trait]
pub trait QueueProgress: Send + Sync {
    /// The queue's progress; `None` when there is no such queue.
    async fn record(&self, queue: &QueueId) -> Result<Option<QueueRecord>, StoreError>;

    /// Raises the generation by one if it still is `from`.
    async fn raise_generation(&self, queue: &QueueId, from: u64) -> Result<Raised, StoreError>;

    /// Leases the next `count` numbers above the high-water mark.
    async fn lease(
        &self,
        queue: &QueueId,
        generation: u64,
        count: u64,
    ) -> Result<Leased, StoreError>;

    /// Commits a step; the greatest wins.
    async fn step(
        &self,
        queue: &QueueId,
        generation: u64,
        step: QueueStep,
    ) -> Result<StepCommitted, StoreError>;

    /// Steps with `granting_millis` at or after `since`, and the last one before, oldest first.
    async fn steps(&self, queue: &QueueId, since: i64) -> Result<Vec<QueueStep>, StoreError>;
}
