//! The views: what owners read. Rebuilt from the log and the books at any time; never the truth.
use crate::booking::Booking;
use crate::error::StoreError;
use crate::ids::{AccountId, BookingId, TicketId};
use crate::page::{Cursor, Page};
use async_trait::async_trait;

/// The read side of bookings and tickets.
#[async_trait]
pub trait Views: Send + Sync {
    /// Takes each booking whose version is newer than the one that is there; older ones change
    /// nothing.
    async fn put(&self, bookings: &[Booking]) -> Result<(), StoreError>;

    /// Writes each booking anew unless a newer version is there: also where this version was before,
    /// so that what was damaged or is about to expire is whole again.
    async fn rewrite(&self, bookings: &[Booking]) -> Result<(), StoreError>;

    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, StoreError>;

    /// An account's bookings, newest first.
    async fn bookings_of(
        &self,
        account: &AccountId,
        cursor: Cursor,
    ) -> Result<Page<Booking>, StoreError>;

    /// The booking that a ticket belongs to.
    async fn booking_of_ticket(&self, ticket: &TicketId) -> Result<Option<Booking>, StoreError>;
}

/// Which rows a write replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    Older,
    /// And those of the same version.
    Same,
}

impl Replaces {
    /// A row is replaced if its version is below the new one's plus this.
    pub fn reach(self) -> i64 {
        match self {
            Self::Older => 0,
            Self::Same => 1,
        }
    }
}
