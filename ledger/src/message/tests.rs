//! The JSON of each message version, held by golden files that never change.
use super::*;
use crate::booking::RefundStatus;
use crate::conformance::sample::{NOW, cancel_of, named};
use crate::ids::{QueueId, RefundId, TicketId};
use serde_json::Value;

const PLACE: &str = include_str!("../../golden/booking_command.v1.place.json");
const PLACE_BARE: &str = include_str!("../../golden/booking_command.v1.place_bare.json");
const CANCEL: &str = include_str!("../../golden/booking_command.v1.cancel.json");
const CONFIRMED: &str = include_str!("../../golden/booking_outcome.v1.confirmed.json");
const REFUNDED: &str = include_str!("../../golden/booking_outcome.v1.refunded.json");

fn place() -> PlaceBooking {
    let slot = Some(SlotRef { queue: QueueId::parse("evt_sample").unwrap(), number: 7 });
    PlaceBooking { slot, ..named("hld_sample") }
}

/// General admission, without a slot.
fn bare() -> PlaceBooking {
    let mut command = PlaceBooking { slot: None, ..place() };
    command.items.iter_mut().for_each(|item| item.seat = None);
    command
}

fn outcome(status: BookingStatus) -> Message {
    let command = place();
    let tickets = command.items.iter().map(|item| BookingTicket {
        ticket_id: TicketId::of(&command.booking_id, &item.item, 1),
        item: item.item.clone(),
    });
    let booking = Booking {
        status,
        tickets: tickets.collect(),
        version: 2,
        updated_at: NOW.plus_seconds(1),
        ..Booking::placed(&command)
    };
    Message::Outcome(Box::new(BookingOutcome { booking, slot: command.slot }))
}

fn refunded() -> Message {
    let Message::Outcome(mut outcome) = outcome(BookingStatus::Refunded) else { unreachable!() };
    let booking = &mut outcome.booking;
    booking.refunds.push(Refund {
        refund_id: RefundId::of(&booking.id, 1),
        amount: booking.total,
        items: booking.items.iter().map(|item| item.item.clone()).collect(),
        reason: "cancelled".into(),
        status: RefundStatus::Done,
    });
    booking.failure_code = Some("cancelled".into());
    booking.version = 4;
    Message::Outcome(outcome)
}

/// Every message that has a golden file.
fn goldens() -> [(Message, &'static str); 5] {
    [
        (Message::Command(BookingCommand::Place(place())), PLACE),
        (Message::Command(BookingCommand::Place(bare())), PLACE_BARE),
        (Message::Command(BookingCommand::Cancel(cancel_of(&place()))), CANCEL),
        (outcome(BookingStatus::Confirmed), CONFIRMED),
        (refunded(), REFUNDED),
    ]
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn what_is_written_equals_its_golden_file_and_reads_back() {
    for (message, golden) in goldens() {
        let written = message.encode();
        assert_eq!(
            json(&written),
            json(golden.as_bytes()),
            "{}",
            String::from_utf8_lossy(&written)
        );
        let read = Message::decode(message.topic(), message.type_name(), golden.as_bytes());
        assert_eq!(read.unwrap(), message);
    }
}

#[test]
fn fields_of_a_later_minor_version_are_ignored() {
    for (message, golden) in goldens() {
        let mut value = json(golden.as_bytes());
        let object = value.as_object_mut().unwrap();
        object.insert("added_later".into(), Value::Bool(true));
        if let Some(item) = object.get_mut("items").and_then(|items| items.get_mut(0)) {
            item.as_object_mut().unwrap().insert("added_later".into(), Value::Null);
        }
        let read =
            Message::decode(message.topic(), message.type_name(), value.to_string().as_bytes());
        assert_eq!(read.unwrap(), message);
    }
}

#[test]
fn other_types_are_not_guessed_at() {
    for (topic, name, value) in [
        (Topic::Bookings, "tidegate.booking_command.v2", PLACE),
        (Topic::Bookings, OUTCOME_TYPE, CONFIRMED),
        (Topic::Outcomes, COMMAND_TYPE, PLACE),
        (Topic::Dead, COMMAND_TYPE, PLACE),
        (Topic::Bookings, "", PLACE),
    ] {
        let read = Message::decode(topic, name, value.as_bytes());
        let Err(Unreadable::UnknownType(unknown)) = read else { panic!("{topic:?} {name}") };
        assert_eq!(unknown, name);
    }
}

#[test]
fn what_lacks_a_field_or_breaks_a_type_is_malformed() {
    for (message, golden) in goldens() {
        let whole = json(golden.as_bytes());
        for field in whole.as_object().unwrap().keys() {
            if whole[field].is_null() || matches!(field.as_str(), "slot" | "failure_code") {
                continue;
            }
            let mut broken = whole.clone();
            broken[field] = Value::Object(serde_json::Map::new());
            let text = broken.to_string();
            let read = Message::decode(message.topic(), message.type_name(), text.as_bytes());
            assert!(matches!(read, Err(Unreadable::Malformed(_))), "{field}");
        }
    }
}

#[test]
fn a_malformed_command_does_not_tell_its_payment_token() {
    let broken = PLACE.replace("\"tok_good\"", "[\"tok_secret\"]").replace("evt_sample", "e v t");
    let error = Message::decode(Topic::Bookings, COMMAND_TYPE, broken.as_bytes()).unwrap_err();
    assert!(!error.to_string().contains("tok_"), "{error}");
}
