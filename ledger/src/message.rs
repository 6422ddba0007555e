//! Messages as they stand on the log: versioned JSON, apart from the domain's own types.
//!
//! The JSON of a version never changes; a golden file under test holds each. Readers ignore
//! fields they do not know, and send other major versions to the dead-letter topic.
#[cfg(test)]
mod tests;

use crate::admission::SlotRef;
use crate::booking::{
    Booking, BookingCommand, BookingItem, BookingOutcome, BookingStatus, BookingTicket,
    CancelBooking, PaymentToken, PlaceBooking, Refund,
};
use crate::clock::Timestamp;
use crate::ids::{AccountId, BookingId, EventId, HoldId};
use crate::log::{Message, Topic};
use crate::money::Money;
use serde::{Deserialize, Serialize};

/// The CloudEvents type of a command, in the `ce_type` header.
pub const COMMAND_TYPE: &str = "tidegate.booking_command.v1";
/// The CloudEvents type of an outcome.
pub const OUTCOME_TYPE: &str = "tidegate.booking_outcome.v1";

/// Room for an ordinary message, so that it is written without moving it. Below 1 KiB, because
/// allocators take more than that the slow way.
const VALUE_BYTES: usize = 1_000;

/// A message that cannot be read, and why: the reason goes to the dead-letter topic.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("the message type {0:?} is not one of this topic's")]
    UnknownType(String),
    #[error("the message is not valid: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum CommandV1 {
    Place(PlaceV1),
    Cancel(CancelV1),
}

#[derive(Serialize, Deserialize)]
struct PlaceV1 {
    version: u32,
    booking_id: BookingId,
    hold_id: HoldId,
    attempt: u32,
    account_id: AccountId,
    event_id: EventId,
    slot: Option<SlotRef>,
    items: Vec<BookingItem>,
    total: Money,
    payment_token: PaymentToken,
    seats_per_account_max: u32,
    placed_at_ms: Timestamp,
    deadline_ms: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct CancelV1 {
    version: u32,
    booking_id: BookingId,
    event_id: EventId,
    requested_by: AccountId,
    requested_at_ms: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct OutcomeV1 {
    version: u32,
    booking_id: BookingId,
    hold_id: HoldId,
    attempt: u32,
    account_id: AccountId,
    event_id: EventId,
    slot: Option<SlotRef>,
    status: BookingStatus,
    failure_code: Option<String>,
    items: Vec<BookingItem>,
    total: Money,
    tickets: Vec<BookingTicket>,
    refunds: Vec<Refund>,
    placed_at_ms: Timestamp,
    updated_at_ms: Timestamp,
}

impl Message {
    /// The CloudEvents type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Command(_) => COMMAND_TYPE,
            Self::Outcome(_) => OUTCOME_TYPE,
        }
    }

    /// The JSON value.
    pub fn encode(&self) -> Vec<u8> {
        self.clone().into_value()
    }

    /// The JSON value of a message that is needed no more: nothing of it is copied before.
    pub fn into_value(self) -> Vec<u8> {
        let mut value = Vec::with_capacity(VALUE_BYTES);
        let encoded = match self {
            Self::Command(command) => serde_json::to_writer(&mut value, &CommandV1::from(command)),
            Self::Outcome(outcome) => serde_json::to_writer(&mut value, &OutcomeV1::from(*outcome)),
        };
        encoded.expect("a message has string keys and finite numbers only");
        value
    }

    /// Reads a message of `topic` whose header says `type_name`.
    pub fn decode(topic: Topic, type_name: &str, value: &[u8]) -> Result<Self, Unreadable> {
        match (topic, type_name) {
            (Topic::Bookings, COMMAND_TYPE) => {
                Ok(Self::Command(serde_json::from_slice::<CommandV1>(value)?.into()))
            }
            (Topic::Outcomes, OUTCOME_TYPE) => {
                let outcome = serde_json::from_slice::<OutcomeV1>(value)?.into();
                Ok(Self::Outcome(Box::new(outcome)))
            }
            (Topic::Bookings | Topic::Outcomes | Topic::Dead, other) => {
                Err(Unreadable::UnknownType(other.to_owned()))
            }
        }
    }
}

impl From<BookingCommand> for CommandV1 {
    fn from(command: BookingCommand) -> Self {
        match command {
            BookingCommand::Place(place) => Self::Place(PlaceV1 {
                version: 1,
                booking_id: place.booking_id,
                hold_id: place.hold_id,
                attempt: place.attempt,
                account_id: place.account_id,
                event_id: place.event_id,
                slot: place.slot,
                items: place.items,
                total: place.total,
                payment_token: place.payment_token,
                seats_per_account_max: place.seats_per_account_max,
                placed_at_ms: place.placed_at,
                deadline_ms: place.deadline,
            }),
            BookingCommand::Cancel(cancel) => Self::Cancel(CancelV1 {
                version: 1,
                booking_id: cancel.booking_id,
                event_id: cancel.event_id,
                requested_by: cancel.requested_by,
                requested_at_ms: cancel.requested_at,
            }),
        }
    }
}

impl From<CommandV1> for BookingCommand {
    fn from(command: CommandV1) -> Self {
        match command {
            CommandV1::Place(place) => Self::Place(PlaceBooking {
                booking_id: place.booking_id,
                hold_id: place.hold_id,
                attempt: place.attempt,
                account_id: place.account_id,
                event_id: place.event_id,
                slot: place.slot,
                items: place.items,
                total: place.total,
                payment_token: place.payment_token,
                seats_per_account_max: place.seats_per_account_max,
                placed_at: place.placed_at_ms,
                deadline: place.deadline_ms,
            }),
            CommandV1::Cancel(cancel) => Self::Cancel(CancelBooking {
                booking_id: cancel.booking_id,
                event_id: cancel.event_id,
                requested_by: cancel.requested_by,
                requested_at: cancel.requested_at_ms,
            }),
        }
    }
}

impl From<BookingOutcome> for OutcomeV1 {
    fn from(outcome: BookingOutcome) -> Self {
        let BookingOutcome { booking, slot } = outcome;
        Self {
            version: booking.version,
            booking_id: booking.id,
            hold_id: booking.hold_id,
            attempt: booking.attempt,
            account_id: booking.account_id,
            event_id: booking.event_id,
            slot,
            status: booking.status,
            failure_code: booking.failure_code,
            items: booking.items,
            total: booking.total,
            tickets: booking.tickets,
            refunds: booking.refunds,
            placed_at_ms: booking.placed_at,
            updated_at_ms: booking.updated_at,
        }
    }
}

impl From<OutcomeV1> for BookingOutcome {
    fn from(outcome: OutcomeV1) -> Self {
        let booking = Booking {
            id: outcome.booking_id,
            event_id: outcome.event_id,
            account_id: outcome.account_id,
            hold_id: outcome.hold_id,
            attempt: outcome.attempt,
            status: outcome.status,
            failure_code: outcome.failure_code,
            items: outcome.items,
            total: outcome.total,
            tickets: outcome.tickets,
            refunds: outcome.refunds,
            version: outcome.version,
            placed_at: outcome.placed_at_ms,
            updated_at: outcome.updated_at_ms,
        };
        Self { booking, slot: outcome.slot }
    }
}
