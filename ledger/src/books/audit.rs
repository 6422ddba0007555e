//! What only the audit reads: rows as they are, whole tables, and the guards around them.
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::ids::{AccountId, BookingId, EventId, PlaceId};
use crate::page::{Cursor, Page};
use crate::ticket::Ticket;
use crate::transfer::TransferRecord;
use async_trait::async_trait;

/// A claim, live or released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRecord {
    pub event_id: EventId,
    pub place: PlaceId,
    pub booking_id: BookingId,
    pub account_id: AccountId,
    pub sold: bool,
    pub released_at: Option<Timestamp>,
}

/// How many seats of an event the books count for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatCount {
    pub event_id: EventId,
    pub account_id: AccountId,
    pub seats: u64,
}

/// What one message of the bookings topic asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedAsk {
    Place(BookingId),
    Cancel(BookingId),
    Unreadable,
}

/// A message of the bookings topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCommand {
    /// Where it stands on the log.
    pub position: String,
    pub ask: LoggedAsk,
    pub appended_at: Timestamp,
    /// It is in the dead-letter topic.
    pub dead: bool,
}

/// What keeps rows that may only be added: a trigger, a right that was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// "deletes from transfers", for people.
    pub refuses: String,
    pub stands: bool,
}

/// The record as the audit sees it. Nothing but the audit calls this, so it may read whole tables.
#[async_trait]
pub trait AuditReads: Send + Sync {
    /// Every claim that ever was.
    async fn claims(&self, cursor: Cursor) -> Result<Page<ClaimRecord>, StoreError>;

    async fn transfers(&self, cursor: Cursor) -> Result<Page<TransferRecord>, StoreError>;

    async fn tickets(&self, cursor: Cursor) -> Result<Page<Ticket>, StoreError>;

    /// The messages of the bookings topic; none where the log is not kept beside the books.
    async fn commands(&self, cursor: Cursor) -> Result<Page<LoggedCommand>, StoreError>;

    async fn seat_counts(&self) -> Result<Vec<SeatCount>, StoreError>;

    /// The guards that the append-only tables must have.
    async fn guards(&self) -> Result<Vec<Guard>, StoreError>;
}
