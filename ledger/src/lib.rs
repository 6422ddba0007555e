//! The ledger: what happened, for ever, and the words for it.
//!
//! The ground floor of Tidegate. It knows no other crate; every other crate speaks in its types
//! ([`Event`], [`Admission`], [`BookingCommand`], [`Booking`], [`Transfer`], [`Ticket`]) and keeps
//! its record behind its seams ([`Books`], [`BookingLog`], [`Views`]).
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod account;
mod admission;
mod backoff;
mod booking;
pub mod booking_trace;
mod circuit_breaker;
mod clock;
mod error;
mod event;
mod fenced;
mod ids;
mod layout;
mod lock;
mod money;
mod page;
mod transfer;

pub mod keys;
pub mod message;
pub mod purchase;
pub mod ticket;

pub mod books;
pub mod consumer;
mod journal;
mod log;
pub mod metrics;
pub mod projector;
mod views;

pub mod audit;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use account::{Account, Role};
pub use admission::{Admission, AdmissionSource, SlotRef};
pub use backoff::Backoff;
pub use booking::{
    ATTEMPTS_MAX, Booking, BookingCommand, BookingItem, BookingOutcome, BookingStatus,
    BookingTicket, CancelBooking, PaymentToken, PlaceBooking, Refund, RefundStatus, SeatEffect,
};
pub use books::Books;
pub use circuit_breaker::{CircuitBreaker, Entry, Probe};
pub use clock::{Clock, Timestamp};
pub use consumer::{BatchError, BatchHandler, Consumer, ConsumerConfig, InvalidConsumerConfig};
pub use error::{Source, StoreError};
pub use event::{
    DEFAULT_PRICE, Event, Queue, QueuePatch, QueueSettings, QueueState, SaleTerms, people_ahead,
};
pub use fenced::{CopySource, Fenced, FencedCopy, Recovering, RecoveryBounds};
pub use ids::{
    AccountId, BookingId, EventId, HoldId, ID_BYTES_MAX, IdSource, InvalidId, PlaceId, QueueId,
    RefundId, SectionId, TicketId, is_id,
};
pub use journal::{JournalEntry, JournalReceipt, SeatJournal};
pub use layout::{Layout, LayoutError, PLACES_MAX, Place, Row, Seating, Section};
pub use lock::{lock, read_lock, write_lock};
pub use log::{
    Backlog, BookingLog, DeadLetter, Delivery, Group, LogPosition, Message, Subscription, Topic,
};
pub use money::{Currency, InvalidCurrency, Money};
pub use page::{Cursor, LIMIT_DEFAULT, LIMIT_MAX, Page};
pub use projector::{BookingChanges, BookingWatch, Projector};
pub use ticket::{Ticket, TicketState};
pub use transfer::{
    GATEWAY_CLEARING, Leg, Transfer, TransferKind, TransferRecord, Unbalanced, legs_balance,
    sales_account,
};
pub use views::{Replaces, Views};
