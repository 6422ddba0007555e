//! Purchases: claims on seats, attempts to charge, settlements, transfers, and the outbox.
use crate::booking::{BookingOutcome, CancelBooking, PlaceBooking};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::ids::{AccountId, BookingId, EventId, PlaceId, RefundId};
use crate::page::{Cursor, Page};
use crate::purchase::{ChargeResult, Purchase};
use async_trait::async_trait;

/// What [`Purchases::begin`] made of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The seats are claimed and the attempt is committed, by this call: charge now.
    Charge(Box<Purchase>),
    /// An attempt was committed before, and its answer is not known: sending the identical charge
    /// again is harmless, sending another is not.
    Resolve(Box<Purchase>),
    /// It is over, now or since long: publish this.
    Ended(Box<BookingOutcome>),
}

/// The gateway's answer to one booking's charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub booking_id: BookingId,
    pub result: ChargeResult,
}

/// What the gateway said of one refund: it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunded {
    pub booking_id: BookingId,
    pub refund_id: RefundId,
}

/// Work that the reconciler has to take up, leased to the caller until its next try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueWork {
    /// Ask the gateway for the final answer to this charge.
    Resolve(Box<Purchase>),
    /// Send this purchase's pending refund.
    Refund(Box<Purchase>),
}

impl DueWork {
    /// The purchase that it is about.
    pub fn purchase(&self) -> &Purchase {
        match self {
            Self::Resolve(purchase) | Self::Refund(purchase) => purchase,
        }
    }

    /// What there is to do for a purchase; `None` when the gateway has nothing more to say.
    pub fn of(purchase: Purchase) -> Option<Self> {
        if purchase.awaits_gateway() {
            Some(Self::Resolve(Box::new(purchase)))
        } else if purchase.pending_refund().is_some() {
            Some(Self::Refund(Box::new(purchase)))
        } else {
            None
        }
    }
}

/// A live claim: who owns a place according to the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub place: PlaceId,
    pub account_id: AccountId,
    pub state: ClaimState,
}

/// How far a live claim has come. The purchase tells the rest (command, deadline, hold).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimState {
    Paying(BookingId),
    Sold(BookingId),
}

/// Claims of one event that changed after a revision, live or released.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    pub live: Vec<Claim>,
    /// Places whose last change was a release.
    pub released: Vec<PlaceId>,
    /// The newest change seen; pass it back to read what came after.
    pub revision: u64,
}

/// What writes who bought what and what was paid: the payment worker and its reconciler.
#[async_trait]
pub trait Purchases: Send + Sync {
    /// One transaction opens each booking, claims its seats (unique per live
    /// `(event, place)`), counts them against the account's cap, and commits the attempt. A
    /// command past its deadline with no attempt is `expired`; one that gets fewer seats than it
    /// asked for is taken out whole and tried alone. Answers are in the order of `batch`.
    async fn begin(&self, batch: &[PlaceBooking], now: Timestamp)
    -> Result<Vec<Begun>, StoreError>;

    /// Writes the gateway's answers with their transfers, tickets and claims, by
    /// [`settle`](crate::purchase::settle). Returns the outcomes that are new.
    async fn settle(
        &self,
        batch: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError>;

    /// Cancels by [`cancel`](crate::purchase::cancel). Returns what to publish (also when it was
    /// over before). A booking that was never opened is unknown here and is left out.
    async fn cancel(
        &self,
        batch: &[CancelBooking],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError>;

    /// Writes that refunds are done, with their transfers. Returns the outcomes that are new.
    async fn refunded(
        &self,
        batch: &[Refunded],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError>;

    /// Purchases whose next try is due: charges without a final answer, refunds not yet sent.
    /// Leases each to the caller by moving its next try to `next_try`.
    async fn due(
        &self,
        now: Timestamp,
        next_try: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueWork>, StoreError>;
}

/// What was recorded and not yet told: it is appended to the log until that acknowledges it.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Outcomes that the log has not acknowledged, oldest first.
    async fn unpublished(&self, limit: u32) -> Result<Vec<BookingOutcome>, StoreError>;

    /// The log has acknowledged these versions; a newer version stays unpublished.
    async fn published(&self, outcomes: &[(BookingId, u32)]) -> Result<(), StoreError>;
}

/// What others ask about bookings: their owners, the seat copies, the views, the audit.
#[async_trait]
pub trait PurchaseReads: Send + Sync {
    async fn purchase(&self, id: &BookingId) -> Result<Option<Purchase>, StoreError>;

    /// Every purchase in order of id, for the audit and for rebuilding the views.
    async fn purchases(&self, cursor: Cursor) -> Result<Page<Purchase>, StoreError>;

    /// The event's claims that changed after `revision` (0: all that are live).
    async fn claims(&self, event: &EventId, revision: u64) -> Result<Claims, StoreError>;
}
