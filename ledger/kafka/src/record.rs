//! Records: a message as CloudEvents in binary mode, and what a record that cannot be read leaves.
use ledger::message::Unreadable;
use ledger::{BookingCommand, DeadLetter, Delivery, LogPosition, Message, Timestamp, Topic};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

/// The CloudEvents source: whoever runs several Tidegates tells them apart by their clusters.
const SOURCE: &str = "/tidegate";

const TYPE_HEADER: &str = "ce_type";

/// What the brokers and the producer add to a record's key, value and headers, amply.
const OVERHEAD_BYTES: usize = 1_024;
/// A reason repeats what was in the record; so much of it is enough.
const REASON_CHARS_MAX: usize = 200;

/// A record that cannot be read or not be carried out, as it goes to the dead-letter topic.
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
    bytes_max: usize,
) -> Result<Delivery, Box<DeadRecord>> {
    let kind = record.headers().and_then(type_of).unwrap_or_default();
    let read = match record.payload() {
        Some(value) => Message::decode(topic, kind, value),
        None => Err(Unreadable::UnknownType(kind.to_owned())),
    };
    let appended_at = Timestamp::from_millis(record.timestamp().to_millis().unwrap_or(0));
    let position = LogPosition { partition: record.partition(), offset: record.offset() };
    match read {
        Ok(message) => Ok(Delivery { message, position, appended_at }),
        Err(error) => Err(Box::new(dead(topic, record, &error.to_string(), bytes_max))),
    }
}

fn type_of<H: Headers>(headers: &H) -> Option<&str> {
    let header = headers.iter().find(|header| header.key == TYPE_HEADER)?;
    std::str::from_utf8(header.value?).ok()
}

/// The raw bytes of a record that cannot be read.
fn dead(topic: Topic, record: &BorrowedMessage<'_>, reason: &str, bytes_max: usize) -> DeadRecord {
    let position = LogPosition { partition: record.partition(), offset: record.offset() };
    let [key, value] = [record.key(), record.payload()].map(|bytes| bytes.map(<[u8]>::to_vec));
    let headers = record.headers().map_or_else(OwnedHeaders::new, |headers| headers.detach());
    let whole = DeadRecord { topic, key, value, headers, reason: reason.to_owned() };
    marked(whole, record.topic(), position, &[], bytes_max)
}

/// A message that `group` could not carry out, as it was on the log.
pub(super) fn dead_letter(
    letter: &DeadLetter,
    topic_name: &str,
    group_name: &str,
    now: Timestamp,
    bytes_max: usize,
) -> DeadRecord {
    let Delivery { message, position, .. } = &letter.delivery;
    let whole = DeadRecord {
        topic: message.topic(),
        key: Some(message.key().as_bytes().to_vec()),
        value: Some(message.encode()),
        headers: headers_of(message, now),
        reason: letter.reason.clone(),
    };
    marked(whole, topic_name, *position, &[("tidegate_dead_group", group_name)], bytes_max)
}

/// The record with the place it comes from and the reason. With these it may be larger than any
/// record may be: then only its place, and how large it was, are kept.
fn marked(
    record: DeadRecord,
    topic_name: &str,
    position: LogPosition,
    more: &[(&str, &str)],
    bytes_max: usize,
) -> DeadRecord {
    let DeadRecord { topic, key, value, headers, reason } = record;
    let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
    let place = [
        ("tidegate_dead_reason", reason.as_str()),
        ("tidegate_dead_topic", topic_name),
        ("tidegate_dead_partition", &position.partition.to_string()),
        ("tidegate_dead_offset", &position.offset.to_string()),
    ];
    let headers = with(with(headers, &place), more);
    let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let whole = [size(&key), size(&value), headers_size(&headers), OVERHEAD_BYTES];
    if whole.iter().fold(0, |all: usize, part| all.saturating_add(*part)) <= bytes_max {
        return DeadRecord { topic, key, value, headers, reason };
    }
    let bytes = size(&value).to_string();
    let headers = with(with(OwnedHeaders::new(), &place), more);
    let headers = with(headers, &[("tidegate_dead_bytes", &bytes)]);
    DeadRecord { topic, key: None, value: None, headers, reason }
}

fn headers_size(headers: &OwnedHeaders) -> usize {
    let size = |header: Header<'_, &[u8]>| {
        let (key, value) = (header.key.len(), header.value.map_or(0, <[u8]>::len));
        // Two lengths of at most five bytes each.
        key.saturating_add(value).saturating_add(10)
    };
    headers.iter().map(size).fold(0, usize::saturating_add)
}
