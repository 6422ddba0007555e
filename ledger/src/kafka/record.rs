//! Records: a message as CloudEvents in binary mode, and what a record that cannot be read leaves.
use crate::booking::BookingCommand;
use crate::clock::Timestamp;
use crate::log::{Delivery, Message, Topic};
use crate::message::Unreadable;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

/// The CloudEvents source: whoever runs several Tidegates tells them apart by their clusters.
const SOURCE: &str = "/tidegate";

const TYPE_HEADER: &str = "ce_type";

/// A record that cannot be read, as it goes to the dead-letter topic.
pub(super) struct DeadRecord {
    pub(super) topic: Topic,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: OwnedHeaders,
    pub(super) reason: String,
}

/// The headers of a message. The id is the message's own, so that one appended twice is known by
/// it: CloudEvents calls the second a duplicate.
pub(super) fn headers_of(message: &Message, now: Timestamp) -> OwnedHeaders {
    let (id, time) = (event_id(message), now.rfc3339());
    let pairs = [
        ("ce_specversion", "1.0"),
        ("ce_id", id.as_str()),
        ("ce_source", SOURCE),
        (TYPE_HEADER, message.type_name()),
        ("ce_time", time.as_str()),
        ("ce_subject", message.key()),
        ("content-type", "application/json"),
    ];
    with(OwnedHeaders::new_with_capacity(pairs.len()), &pairs)
}

fn event_id(message: &Message) -> String {
    match message {
        Message::Command(BookingCommand::Place(place)) => {
            [place.booking_id.as_str(), ".place"].concat()
        }
        Message::Command(BookingCommand::Cancel(cancel)) => {
            format!("{}.cancel.{}", cancel.booking_id, cancel.requested_at.millis())
        }
        Message::Outcome(outcome) => format!("{}.{}", outcome.booking.id, outcome.booking.version),
    }
}

fn with(headers: OwnedHeaders, pairs: &[(&str, &str)]) -> OwnedHeaders {
    pairs
        .iter()
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }))
}

/// Reads a record of `topic`, or keeps it whole with the reason why it cannot be read.
pub(super) fn read(
    topic: Topic,
    record: &BorrowedMessage<'_>,
) -> Result<Delivery, Box<DeadRecord>> {
    let kind = record.headers().and_then(type_of).unwrap_or_default();
    let read = match record.payload() {
        Some(value) => Message::decode(topic, kind, value),
        None => Err(Unreadable::UnknownType(kind.to_owned())),
    };
    let appended_at = Timestamp::from_millis(record.timestamp().to_millis().unwrap_or(0));
    match read {
        Ok(message) => Ok(Delivery { message, appended_at }),
        Err(error) => Err(Box::new(dead(topic, record, error.to_string()))),
    }
}

fn type_of<H: Headers>(headers: &H) -> Option<&str> {
    let header = headers.iter().find(|header| header.key == TYPE_HEADER)?;
    std::str::from_utf8(header.value?).ok()
}

fn dead(topic: Topic, record: &BorrowedMessage<'_>, reason: String) -> DeadRecord {
    let place = [
        ("tidegate_dead_reason", reason.as_str()),
        ("tidegate_dead_topic", record.topic()),
        ("tidegate_dead_partition", &record.partition().to_string()),
        ("tidegate_dead_offset", &record.offset().to_string()),
    ];
    let own = record.headers().map_or_else(OwnedHeaders::new, |headers| headers.detach());
    let headers = with(own, &place);
    let [key, value] = [record.key(), record.payload()].map(|bytes| bytes.map(<[u8]>::to_vec));
    DeadRecord { topic, key, value, headers, reason }
}
