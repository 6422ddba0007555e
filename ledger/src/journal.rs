//! The seat journal: where the local seat store keeps its holds through a crash.
use crate::error::StoreError;
use crate::ids::{EventId, HoldId};
use async_trait::async_trait;

/// One change of a hold. The row is opaque here: only the seat store reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    pub event: EventId,
    pub hold: HoldId,
    /// The hold as it is now; `None` when it is over and may be forgotten.
    pub row: Option<String>,
}

/// Appends in call order; what `append` returned for is there after a crash.
#[async_trait]
pub trait SeatJournal: Send + Sync {
    /// Hands the entries to the writer at once, in call order (also before the future is first
    /// polled), and gives back a receipt that is ready once they are durable.
    fn append(&self, entries: Vec<JournalEntry>) -> JournalReceipt;

    /// The last row of each hold of an event that is not over.
    async fn read(&self, event: &EventId) -> Result<Vec<String>, StoreError>;
}

/// Ready once the entries are durable.
pub type JournalReceipt =
    std::pin::Pin<Box<dyn std::future::Future<Output = Result<(), StoreError>> + Send>>;
