//! Bookings: the command that asks for one, its states, and the outcome that ends it.
use crate::admission::SlotRef;
use crate::clock::Timestamp;
use crate::ids::{AccountId, BookingId, EventId, HoldId, PlaceId, RefundId, SectionId, TicketId};
use crate::money::Money;
use serde::{Deserialize, Serialize};

/// One thing bought: a place at a frozen price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingItem {
    /// The place, unique in the event; what a claim is made on.
    pub item: PlaceId,
    /// The seat's id; `None` for general admission.
    pub seat: Option<PlaceId>,
    pub section: SectionId,
    /// What a person reads on the ticket: "A-12", "Floor".
    pub label: String,
    /// The price type; only "standard" today.
    pub offer: String,
    pub price: Money,
}

/// What the visitor pays with: an opaque token that the gateway understands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentToken(String);

impl PaymentToken {
    pub const DEFAULT: &'static str = "tok_default";

    /// 1 to 255 visible ASCII characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The token itself, for the gateway call and the bookings topic only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PaymentToken(…)")
    }
}

/// Asks the payment worker to sell what a hold holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceBooking {
    pub booking_id: BookingId,
    pub hold_id: HoldId,
    /// From 1; a declined hold may be tried again as the next attempt.
    pub attempt: u32,
    pub account_id: AccountId,
    pub event_id: EventId,
    /// The slot that the hold was made under; a confirmed booking ends it.
    pub slot: Option<SlotRef>,
    /// Sorted by item, so that transactions over the same places never deadlock.
    pub items: Vec<BookingItem>,
    pub total: Money,
    pub payment_token: PaymentToken,
    pub seats_per_account_max: u32,
    pub placed_at: Timestamp,
    /// After this, a command with no attempt committed is expired, not charged.
    pub deadline: Timestamp,
}

/// Asks the payment worker to undo a booking, whatever its stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelBooking {
    pub booking_id: BookingId,
    pub event_id: EventId,
    pub requested_by: AccountId,
    pub requested_at: Timestamp,
}

/// What travels on the booking log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookingCommand {
    Place(PlaceBooking),
    Cancel(CancelBooking),
}

impl BookingCommand {
    pub fn booking_id(&self) -> &BookingId {
        match self {
            Self::Place(place) => &place.booking_id,
            Self::Cancel(cancel) => &cancel.booking_id,
        }
    }
}

/// Where a booking stands, as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BookingStatus {
    Processing,
    Confirmed,
    /// The gateway said no; the seats go back to the hold.
    Declined,
    /// Somebody else's claim came first; never charged.
    SeatLost,
    /// The account's cap was reached by another booking; never charged.
    OverCap,
    /// The deadline passed before a charge was attempted.
    Expired,
    Cancelled,
    RefundPending,
    Refunded,
}

/// What a booking's status means for its seats in the seat store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatEffect {
    /// Still paying.
    Keep,
    Sold,
    /// Back to the hold they came from.
    Held,
    Free,
}

impl BookingStatus {
    pub const ALL: [Self; 9] = [
        Self::Processing,
        Self::Confirmed,
        Self::Declined,
        Self::SeatLost,
        Self::OverCap,
        Self::Expired,
        Self::Cancelled,
        Self::RefundPending,
        Self::Refunded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Confirmed => "confirmed",
            Self::Declined => "declined",
            Self::SeatLost => "seat_lost",
            Self::OverCap => "over_cap",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::RefundPending => "refund_pending",
            Self::Refunded => "refunded",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// True when only a cancel could still change it.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Processing | Self::RefundPending)
    }

    pub fn seat_effect(self) -> SeatEffect {
        match self {
            Self::Processing => SeatEffect::Keep,
            Self::Confirmed => SeatEffect::Sold,
            Self::Declined => SeatEffect::Held,
            Self::SeatLost
            | Self::OverCap
            | Self::Expired
            | Self::Cancelled
            | Self::RefundPending
            | Self::Refunded => SeatEffect::Free,
        }
    }
}

/// How many times one hold may be tried before its seats go free.
pub const ATTEMPTS_MAX: u32 = 3;

/// Whether a refund has reached the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    Pending,
    Done,
}

/// Money going back for a booking, in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub refund_id: RefundId,
    pub amount: Money,
    pub items: Vec<PlaceId>,
    pub reason: String,
    pub status: RefundStatus,
}

/// The ticket ids a confirmed booking has, by place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingTicket {
    pub ticket_id: TicketId,
    pub item: PlaceId,
}

/// A booking as the views keep it. A higher `version` replaces a lower one, never the reverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    pub id: BookingId,
    pub event_id: EventId,
    pub account_id: AccountId,
    pub hold_id: HoldId,
    pub attempt: u32,
    pub status: BookingStatus,
    pub failure_code: Option<String>,
    pub items: Vec<BookingItem>,
    pub total: Money,
    pub tickets: Vec<BookingTicket>,
    pub refunds: Vec<Refund>,
    pub version: u32,
    pub placed_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Booking {
    /// The booking as its command announces it: version 1, nothing decided.
    pub fn placed(command: &PlaceBooking) -> Self {
        Self {
            id: command.booking_id.clone(),
            event_id: command.event_id.clone(),
            account_id: command.account_id.clone(),
            hold_id: command.hold_id.clone(),
            attempt: command.attempt,
            status: BookingStatus::Processing,
            failure_code: None,
            items: command.items.clone(),
            total: command.total,
            tickets: Vec::new(),
            refunds: Vec::new(),
            version: 1,
            placed_at: command.placed_at,
            updated_at: command.placed_at,
        }
    }
}

/// What became of a booking: the whole booking at one version, and the slot it was made under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookingOutcome {
    pub booking: Booking,
    pub slot: Option<SlotRef>,
}

impl BookingOutcome {
    /// What the seat store does; a hold whose attempts are used up is let go.
    pub fn seat_effect(&self) -> SeatEffect {
        match self.booking.status.seat_effect() {
            SeatEffect::Held if self.booking.attempt >= ATTEMPTS_MAX => SeatEffect::Free,
            SeatEffect::Keep => SeatEffect::Keep,
            SeatEffect::Sold => SeatEffect::Sold,
            SeatEffect::Held => SeatEffect::Held,
            SeatEffect::Free => SeatEffect::Free,
        }
    }
}
