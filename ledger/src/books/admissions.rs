//! Admissions: who was let in.
use crate::admission::{Admission, SlotRef};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::ids::QueueId;
use async_trait::async_trait;

/// The answer to one admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    Done,
    /// The number was admitted before; this is its row.
    Exists(Admission),
    Stale,
}

/// The record of admissions. They are written under the queue's current generation, which is read
/// under the same lock, and are refused under an older one (`copies-are-fenced`).
#[async_trait]
pub trait Admissions: Send + Sync {
    /// Records admissions of one queue; unique on (queue, number). Answers in the order of `rows`.
    async fn admit(
        &self,
        queue: &QueueId,
        generation: u64,
        rows: &[Admission],
    ) -> Result<Vec<Admitted>, StoreError>;

    /// Ends a slot before its time. False when it was ended before or never was.
    async fn end(&self, slot: &SlotRef, at: Timestamp) -> Result<bool, StoreError>;

    async fn admission(&self, slot: &SlotRef) -> Result<Option<Admission>, StoreError>;

    /// Every admission of the queue, by number, for recovery and audit.
    async fn admissions(&self, queue: &QueueId) -> Result<Vec<Admission>, StoreError>;
}
