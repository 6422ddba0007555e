//! What is published for other consumers against what is written: the golden files, every status,
//! the headers, the names.
use crate::record::headers_of;
use ledger::conformance::sample::{NOW, SampleEvent, cancel_of};
use ledger::message::{COMMAND_TYPE, OUTCOME_TYPE};
use ledger::{Booking, BookingCommand, BookingOutcome, BookingStatus, Message, Topic, is_id};
use rdkafka::message::Headers;
use serde_json::{Map, Value, json};

const COMMAND: &str = include_str!("../../../schemas/booking_command.v1.json");
const OUTCOME: &str = include_str!("../../../schemas/booking_outcome.v1.json");
const ASYNCAPI: &str = include_str!("../../../schemas/asyncapi.json");

const GOLDENS: [(&str, &str); 5] = [
    (COMMAND, include_str!("../../../golden/booking_command.v1.place.json")),
    (COMMAND, include_str!("../../../golden/booking_command.v1.place_bare.json")),
    (COMMAND, include_str!("../../../golden/booking_command.v1.cancel.json")),
    (OUTCOME, include_str!("../../../golden/booking_outcome.v1.confirmed.json")),
    (OUTCOME, include_str!("../../../golden/booking_outcome.v1.refunded.json")),
];

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Why `value` is not what `schema` asks for. Knows the keywords that the published schemas use;
/// another one fails the test, so that nothing goes unchecked.
fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let fits = match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let pointer = wanted.as_str().unwrap().trim_start_matches('#');
                let target = root.pointer(pointer).expect("a reference leads somewhere");
                check(root, target, value)?;
                true
            }
            "oneOf" => {
                let choices = wanted.as_array().unwrap();
                let fitting = choices.iter().filter(|one| check(root, one, value).is_ok());
                fitting.count() == 1
            }
            "type" => match wanted.as_array() {
                Some(kinds) => kinds.iter().any(|kind| is_of_type(kind, value)),
                None => is_of_type(wanted, value),
            },
            "required" => {
                let names = wanted.as_array().unwrap();
                names.iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(inner) = value.get(name) {
                        check(root, schema, inner).map_err(|why| format!("{name}: {why}"))?;
                    }
                }
                true
            }
            "items" => {
                for inner in value.as_array().into_iter().flatten() {
                    check(root, wanted, inner)?;
                }
                true
            }
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "minimum" => value.as_i64() >= wanted.as_i64(),
            "minItems" => value.as_array().map(Vec::len) >= wanted.as_u64().map(|n| n as usize),
            "minLength" => value.as_str().map(str::len) >= wanted.as_u64().map(|n| n as usize),
            "maxLength" => value.as_str().map(str::len) <= wanted.as_u64().map(|n| n as usize),
            "pattern" => matches_pattern(wanted.as_str().unwrap(), value.as_str().unwrap_or("")),
            "format" => ledger::Timestamp::parse_rfc3339(value.as_str().unwrap_or("")).is_some(),
            other => panic!("the schemas use {other}, which this test does not know"),
        };
        if !fits {
            return Err(format!("{value} breaks {keyword} {wanted}"));
        }
    }
    Ok(())
}

fn is_of_type(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("no type {other}"),
    }
}

fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[A-Za-z0-9._:-]+$" => is_id(text),
        "^[A-Z]{3}$" => ledger::Currency::parse(text).is_ok(),
        other => panic!("the schemas use the pattern {other}, which this test does not know"),
    }
}

fn valid(schema: &str, value: &Value) -> Result<(), String> {
    let schema = parse(schema);
    check(&schema, &schema, value)
}

#[test]
fn the_golden_files_fit_their_schemas_and_no_other() {
    for (schema, golden) in GOLDENS {
        let golden = parse(golden);
        valid(schema, &golden).unwrap();
        let other = if schema == COMMAND { OUTCOME } else { COMMAND };
        assert!(valid(other, &golden).is_err());
    }
}

#[test]
fn what_lacks_a_field_or_breaks_a_type_does_not_fit() {
    for (schema, golden) in GOLDENS {
        let whole = parse(golden);
        for field in whole.as_object().unwrap().keys() {
            let mut broken = whole.clone();
            broken[field] = json!({"no": "such"});
            assert!(valid(schema, &broken).is_err(), "{field} of another type");
            broken.as_object_mut().unwrap().remove(field);
            assert!(valid(schema, &broken).is_err(), "without {field}");
        }
        let mut later = whole;
        later["added_later"] = json!(true);
        valid(schema, &later).unwrap();
    }
}

#[test]
fn every_status_is_published() {
    let command = SampleEvent::default().place(&["a-1"]);
    for status in BookingStatus::ALL {
        let booking = Booking { status, ..Booking::placed(&command) };
        let outcome = BookingOutcome { booking, slot: None };
        let written = Message::Outcome(Box::new(outcome)).encode();
        valid(OUTCOME, &serde_json::from_slice(&written).unwrap()).unwrap();
    }
    let schema = parse(OUTCOME);
    let published = schema.pointer("/properties/status/enum").unwrap().as_array().unwrap();
    assert_eq!(published.len(), BookingStatus::ALL.len());
}

#[test]
fn the_topics_and_types_are_those_that_are_used() {
    let api = parse(ASYNCAPI);
    for (channel, topic) in
        [("bookings", Topic::Bookings), ("outcomes", Topic::Outcomes), ("dead", Topic::Dead)]
    {
        assert_eq!(api["channels"][channel]["address"], topic.name());
    }
    for (message, kind, schema) in
        [("bookingCommand", COMMAND_TYPE, COMMAND), ("bookingOutcome", OUTCOME_TYPE, OUTCOME)]
    {
        let message = &api["components"]["messages"][message];
        assert_eq!(message["name"], kind);
        let file = message["payload"]["schema"]["$ref"].as_str().unwrap();
        let file = file.trim_start_matches("./").trim_end_matches(".json");
        assert_eq!(parse(schema)["$id"], format!("urn:tidegate:schema:{file}"));
    }
    inner_references_lead_somewhere(&api, &api);
}

fn inner_references_lead_somewhere(root: &Value, value: &Value) {
    if let Some(pointer) = value.get("$ref").and_then(|to| to.as_str()?.strip_prefix('#')) {
        assert!(root.pointer(pointer).is_some(), "{pointer}");
    }
    let fields = value.as_object().into_iter().flat_map(Map::values);
    for inner in fields.chain(value.as_array().into_iter().flatten()) {
        inner_references_lead_somewhere(root, inner);
    }
}

#[test]
fn the_headers_are_those_that_are_published() {
    let api = parse(ASYNCAPI);
    let command = SampleEvent::default().place(&["a-1"]);
    let outcome = BookingOutcome { booking: Booking::placed(&command), slot: None };
    for (name, message) in [
        ("bookingCommand", Message::Command(BookingCommand::Place(command.clone()))),
        ("bookingCommand", Message::Command(BookingCommand::Cancel(cancel_of(&command)))),
        ("bookingOutcome", Message::Outcome(Box::new(outcome))),
    ] {
        let headers: Map<String, Value> = headers_of(&message, NOW)
            .iter()
            .map(|header| {
                let value = std::str::from_utf8(header.value.unwrap()).unwrap();
                (header.key.to_owned(), json!(value))
            })
            .collect();
        let schema = &api["components"]["messages"][name]["headers"];
        check(&api, schema, &Value::Object(headers)).unwrap();
    }
}
