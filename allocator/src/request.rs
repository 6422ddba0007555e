//! Requests to the allocator, and its answers.
use crate::{Left, SeatHold, Wish};
use ledger::{AccountId, Booking, Event, HoldId, Money, PaymentToken, SlotRef};
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
    /// Whether the best places must be side by side; without, they are so where they can be.
    pub together: bool,
    pub key: Option<Keyed>,
}

/// The answer to a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockAnswer {
    /// Yours: a new hold, or one of yours that has all these places, or the key's.
    Held(SeatHold),
    /// Somebody else has one of them.
    Taken,
    /// Nothing that was wished for is left.
    SoldOut,
    /// Places are left, and not enough of them side by side.
    Apart(Left),
    /// More places than one lock may ask for.
    TooMany { max: u32 },
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
    /// The log has the command: this booking ends in a terminal state, or is there already.
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

/// How many places of an event are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Availability {
    pub free: u64,
    pub held: u64,
    pub paying: u64,
    pub sold: u64,
    /// The cheapest price of the event.
    pub price_from: Option<Money>,
}

impl Availability {
    /// Nothing is left to sell, nor can anything come back by itself.
    pub fn is_sold_out(&self) -> bool {
        self.free == 0 && self.held == 0 && self.paying == 0
    }
}
