//! A hold: an exclusive, temporary claim of one account on places at frozen prices.
use ledger::{
    AccountId, BookingId, BookingItem, EventId, HoldId, Money, SectionId, SlotRef, Timestamp,
};

/// What a lock asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// These places, by index in the layout, each once.
    Places(Vec<u32>),
    /// The best that is left: side by side, whole party or nothing.
    Best { quantity: u32, section: Option<SectionId> },
}

/// A live hold. While `paying` is set, nothing frees it but the outcome of that booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatHold {
    pub id: HoldId,
    pub event: EventId,
    pub account: AccountId,
    /// The slot it was made under.
    pub slot: Option<SlotRef>,
    /// Sorted by item.
    pub items: Vec<BookingItem>,
    pub total: Money,
    /// When it expires, unless it is being paid.
    pub until: Timestamp,
    /// Bookings made of it so far.
    pub attempts: u32,
    pub paying: Option<BookingId>,
}
