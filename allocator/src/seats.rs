//! The handle: everything that others ask of the allocator.
use crate::{Error, SeatHold, Wish};
use ledger::{AccountId, Booking, BookingId, Event, EventId, HoldId, PaymentToken, SlotRef};
use std::sync::Arc;

/// An idempotency key with the hash of the body it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    pub key: String,
    pub body_hash: [u8; 32],
}

/// Asks for an exclusive hold.
#[derive(Debug, Clone)]
pub struct LockRequest {
    pub event: Arc<Event>,
    pub account: AccountId,
    pub slot: Option<SlotRef>,
    pub wish: Wish,
    pub key: Option<Keyed>,
}

/// The answer to a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockAnswer {
    /// Yours: a new hold, or the one you have on exactly these places, or the key's.
    Held(SeatHold),
    /// Somebody else has one of them.
    Taken,
    /// No places that fit the wish are left.
    SoldOut,
    /// It would exceed the account's cap.
    OverCap,
    /// The key was used with another body.
    Mismatch,
    /// The key's hold is over.
    Expired,
}

/// The answer to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseAnswer {
    Released,
    /// There is no such hold (any more).
    NotFound,
    NotHolder,
    /// It is being paid; cancel the booking instead.
    Paying,
}

/// What to book: a hold, or the hold that contains a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookTarget {
    Hold(HoldId),
    Place(u32),
}

/// Asks to buy what a hold holds.
#[derive(Debug, Clone)]
pub struct BookRequest {
    pub event: Arc<Event>,
    pub account: AccountId,
    pub target: BookTarget,
    pub payment_token: PaymentToken,
    pub key: Option<Keyed>,
}

/// The answer to a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookAnswer {
    /// The log has the command: this booking ends in a terminal state.
    Accepted(Box<Booking>),
    Expired,
    NotHolder,
    NotFound,
    /// The key was used with another body.
    Mismatch,
}

/// The seat map as everyone sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct SeatsShown {
    /// The JSON body of `/api/events/{id}/seats`.
    pub body: Vec<u8>,
    /// A strong entity tag, quotes included.
    pub etag: String,
    pub available: u64,
    /// Nothing free, held or being paid is left.
    pub sold_out: bool,
}

/// The allocator; clones share it.
#[derive(Clone)]
pub struct SeatAllocator {}

impl SeatAllocator {
    pub async fn lock(&self, _request: LockRequest) -> Result<LockAnswer, Error> {
        todo!()
    }

    /// The account's live holds in an event.
    pub async fn holds(
        &self,
        _event: &EventId,
        _account: &AccountId,
    ) -> Result<Vec<SeatHold>, Error> {
        todo!()
    }

    pub async fn hold(&self, _hold: &HoldId) -> Result<Option<SeatHold>, Error> {
        todo!()
    }

    pub async fn release(
        &self,
        _hold: &HoldId,
        _account: &AccountId,
    ) -> Result<ReleaseAnswer, Error> {
        todo!()
    }

    /// Rule 11: stores the command in the hold, appends it, and answers once the log has it.
    pub async fn book(&self, _request: BookRequest) -> Result<BookAnswer, Error> {
        todo!()
    }

    /// Appends a cancel for a booking that the caller has found and may cancel.
    pub async fn cancel(&self, _booking: &Booking, _by: &AccountId) -> Result<(), Error> {
        todo!()
    }

    /// The booking that a hold is paying, for when neither views nor books know it yet.
    pub async fn paying_booking(&self, _id: &BookingId) -> Result<Option<Booking>, Error> {
        todo!()
    }

    /// The seat map, at most `seats_age_max_ms` old. `None`: no such event.
    pub async fn seats(&self, _event: &EventId) -> Result<Option<Arc<SeatsShown>>, Error> {
        todo!()
    }
}
