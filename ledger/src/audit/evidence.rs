//! What others than the books say: the gateway's own log, and the seat store's copies.
use crate::clock::Timestamp;
use crate::ids::{BookingId, EventId, PlaceId, RefundId};
use crate::money::Money;

/// A charge that the gateway lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayCharge {
    pub charge_id: String,
    /// The idempotency key that it was made under.
    pub booking_id: BookingId,
    pub amount: Money,
    /// False when it was declined.
    pub captured: bool,
    pub received_at: Timestamp,
}

/// A refund that the gateway lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRefund {
    /// The idempotency key that it was made under.
    pub refund_id: RefundId,
    /// The booking whose charge it pays back.
    pub booking_id: BookingId,
    pub amount: Money,
    pub received_at: Timestamp,
}

/// Everything the gateway has done for us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GatewayLog {
    pub charges: Vec<GatewayCharge>,
    pub refunds: Vec<GatewayRefund>,
}

/// What the seat store says of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatCopyState {
    Free,
    Held,
    Paying(BookingId),
    Sold(BookingId),
    /// Not on offer.
    Blocked,
}

/// The seat store's copy of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatCopy {
    pub event: EventId,
    pub seats: Vec<(PlaceId, SeatCopyState)>,
}
