//! The booking log's contract on a real Kafka, and what is this backend's own: groups that change,
//! records that nobody can read.
mod restart;
mod schemas;

use super::*;
use crate::testing::{bounds, kafka_server};
use futures_util::FutureExt;
use ledger::conformance::log::{
    SetAside, check_all, check_dead_letters, check_survived, leave_traces,
};
use ledger::conformance::sample::{SampleEvent, cancel_of};
use ledger::{BookingCommand, BookingId, IdSource, LogPosition};
use rdkafka::Message as _;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use std::collections::{HashMap, HashSet};
use std::future::Future;

/// A log of its own on the shared server: nobody else knows the names of its topics.
pub(super) struct TestLog {
    brokers: String,
    bounds: KafkaBounds,
}

impl TestLog {
    /// With so many partitions a topic. With one, all messages are in order.
    pub(super) fn new(partitions: u16) -> Self {
        Self::at(kafka_server(), partitions)
    }

    pub(super) fn at(brokers: String, partitions: u16) -> Self {
        let bounds = KafkaBounds {
            name_prefix: format!("test-{:016x}.", IdSource::system().random()),
            bookings_partitions: partitions,
            outcomes_partitions: partitions,
            ..bounds()
        };
        Self { brokers, bounds }
    }

    pub(super) async fn open(&self) -> KafkaLog {
        let opened = KafkaLog::open(&self.brokers, self.bounds.clone(), Clock::System).await;
        opened.unwrap_or_else(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            panic!(
                "no Kafka at {} (TIDEGATE_TEST_KAFKA, started by `ops/dev/up kafka`): {error}: {}",
                self.brokers,
                source.unwrap_or_default()
            )
        })
    }

    fn client(&self) -> Client {
        Client {
            brokers: self.brokers.as_str().into(),
            names: Names::new(&self.bounds.name_prefix),
            bounds: Arc::new(self.bounds.clone()),
            clock: Clock::System,
        }
    }

    /// Takes the topics away.
    async fn remove(self) {
        self.client().remove_topics().await;
    }

    /// Everything on a topic, as any Kafka client reads it.
    async fn raw(&self, topic: Topic, count: usize) -> Vec<OwnedMessage> {
        let client = self.client();
        let read = move || -> KafkaResult<Vec<OwnedMessage>> {
            let mut config = client.config();
            config.set("group.id", "raw").set("auto.offset.reset", "earliest");
            let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext)?;
            let name = client.names.topic(topic);
            let partitions = consumer.fetch_metadata(Some(name), Duration::from_secs(10))?;
            let mut list = rdkafka::TopicPartitionList::new();
            for partition in partitions.topics()[0].partitions() {
                list.add_partition_offset(name, partition.id(), rdkafka::Offset::Beginning)?;
            }
            consumer.assign(&list)?;
            let mut records = Vec::new();
            while records.len() < count {
                if let Some(record) = consumer.poll(Duration::from_millis(100)) {
                    records.push(record?.detach());
                }
            }
            // And no more than those.
            records.extend(consumer.poll(Duration::from_millis(200)).map(|r| r.unwrap().detach()));
            Ok(records)
        };
        tokio::task::spawn_blocking(read).await.unwrap().unwrap()
    }
}

fn placed(event: &SampleEvent, place: &str) -> Message {
    Message::Command(BookingCommand::Place(event.place(&[place])))
}

/// Nothing here takes a minute; a test that hangs says so.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(Duration::from_secs(60), future).await;
    done.unwrap_or_else(|_| panic!("{what} did not happen within a minute"))
}

/// What a reader is given, until it is so many messages.
async fn next(reader: &mut dyn Subscription, count: usize) -> Vec<Message> {
    let mut got = Vec::new();
    while got.len() < count {
        let found = soon("a delivery", reader.next(10)).await.unwrap();
        got.extend(found.into_iter().map(|delivery| delivery.message));
    }
    got
}

/// Waits until the group has committed everything.
async fn settled(log: &KafkaLog, group: Group) {
    soon("an empty backlog", async {
        while log.backlog(group).await.unwrap().messages > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_its_contract() {
    let test = TestLog::new(1);
    check_all(Arc::new(test.open().await)).await;
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_carried_out_is_set_aside() {
    let test = TestLog::new(1);
    let log = test.open().await;
    let topic = log.0.client.names.topic(Topic::Bookings).to_owned();
    let read_dead = async |least: usize| {
        let letter = |record: OwnedMessage| {
            let header = |key: &str| {
                let headers = record.headers().unwrap();
                let header = headers.iter().find(|header| header.key == key).unwrap();
                String::from_utf8(header.value.unwrap().to_vec()).unwrap()
            };
            let (kind, value) = (header("ce_type"), record.payload().unwrap());
            let message = Message::decode(Topic::Bookings, &kind, value).unwrap();
            assert_eq!(record.key(), Some(message.key().as_bytes()));
            assert_eq!(header("tidegate_dead_topic"), topic);
            let position = LogPosition {
                partition: header("tidegate_dead_partition").parse().unwrap(),
                offset: header("tidegate_dead_offset").parse().unwrap(),
            };
            SetAside { message, position, reason: header("tidegate_dead_reason") }
        };
        test.raw(Topic::Dead, least).await.into_iter().map(letter).collect()
    };
    check_dead_letters(&log, read_dead).await;
    drop(log);
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_survives_its_clients() {
    let test = TestLog::new(1);
    let event = SampleEvent::default();
    let commands = [event.place(&["a-1"]), event.place(&["a-2"])];
    leave_traces(&test.open().await, &commands).await;
    check_survived(&test.open().await, &commands).await;
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_as_stated_and_left_as_they_are() {
    let mut test = TestLog::new(5);
    test.open().await;
    test.bounds.bookings_partitions = 7;
    let log = test.open().await;
    let (client, admin) = (log.0.client.clone(), test.client());
    let admin: AdminClient<LogContext> = admin.config().create_with_context(LogContext).unwrap();
    let seen = tokio::task::spawn_blocking(move || {
        admin.inner().fetch_metadata(None, Duration::from_secs(10)).unwrap()
    });
    let seen = seen.await.unwrap();
    for (topic, partitions) in [(Topic::Bookings, 5), (Topic::Outcomes, 5), (Topic::Dead, 1)] {
        let name = client.names.topic(topic);
        let found = seen.topics().iter().find(|seen| seen.name() == name).unwrap();
        assert_eq!(found.partitions().len(), partitions, "{name}");
    }
    test.remove().await;
}

#[test]
fn without_a_prefix_the_names_are_those_of_the_wire_contract() {
    let names = Names::new("");
    for topic in Topic::ALL {
        assert_eq!(names.topic(topic), topic.name());
        assert_eq!(names.find(topic.name()), Some(topic));
    }
    for group in Group::ALL {
        assert_eq!(names.group(group), group.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_a_cloud_event() {
    let test = TestLog::new(3);
    let log = test.open().await;
    let command = SampleEvent::default().place(&["a-1"]);
    let messages = [
        Message::Command(BookingCommand::Place(command.clone())),
        Message::Command(BookingCommand::Cancel(cancel_of(&command))),
    ];
    log.append(messages.to_vec()).await.unwrap();
    let records = test.raw(Topic::Bookings, 2).await;
    assert_eq!(records.len(), 2);
    let mut ids = HashSet::new();
    for (record, message) in records.iter().zip(&messages) {
        assert_eq!(record.key(), Some(command.booking_id.as_str().as_bytes()));
        assert_eq!(record.payload(), Some(message.encode().as_slice()));
        let headers: HashMap<&str, &str> = record
            .headers()
            .unwrap()
            .iter()
            .map(|header| (header.key, std::str::from_utf8(header.value.unwrap()).unwrap()))
            .collect();
        for (key, value) in [
            ("ce_specversion", "1.0"),
            ("ce_source", "/tidegate"),
            ("ce_type", ledger::message::COMMAND_TYPE),
            ("ce_subject", command.booking_id.as_str()),
            ("content-type", "application/json"),
        ] {
            assert_eq!(headers[key], value);
        }
        assert!(ledger::Timestamp::parse_rfc3339(headers["ce_time"]).is_some());
        assert!(ids.insert(headers["ce_id"]), "{}", headers["ce_id"]);
    }
    test.remove().await;
}

/// Appends a record that Tidegate would never write.
async fn append_raw(log: &KafkaLog, kind: Option<&str>, value: Option<&[u8]>) {
    let headers = kind.map_or_else(OwnedHeaders::new, |kind| {
        OwnedHeaders::new().insert(Header { key: "ce_type", value: Some(kind) })
    });
    let outgoing = Outgoing::raw(Topic::Bookings, b"k", value, headers);
    log.0.appender.append("appending what nobody can read", vec![outgoing]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_goes_to_the_dead_letters() {
    let test = TestLog::new(1);
    let log = test.open().await;
    let event = SampleEvent::default();
    let good = [placed(&event, "a-1"), placed(&event, "a-2")];
    let poison: [(Option<&str>, Option<&[u8]>); 4] = [
        (Some("tidegate.booking_command.v2"), Some(b"{}")),
        (Some(ledger::message::COMMAND_TYPE), Some(b"\xff not json")),
        (Some(ledger::message::COMMAND_TYPE), None),
        (None, Some(b"{}")),
    ];
    log.append(good[..1].to_vec()).await.unwrap();
    for (kind, value) in poison {
        append_raw(&log, kind, value).await;
    }
    log.append(good[1..].to_vec()).await.unwrap();
    let mut reader = log.subscribe(Group::PaymentWorker).await.unwrap();
    assert_eq!(next(reader.as_mut(), good.len()).await, good);
    // The first message and the dead records behind it.
    reader.commit_first(1).await.unwrap();
    assert_eq!(log.backlog(Group::PaymentWorker).await.unwrap().messages, 1);
    reader.commit().await.unwrap();
    settled(&log, Group::PaymentWorker).await;
    let dead = test.raw(Topic::Dead, poison.len()).await;
    assert_eq!(dead.len(), poison.len());
    for ((record, (kind, value)), offset) in dead.iter().zip(poison).zip(1..) {
        assert_eq!((record.payload(), record.key()), (value, Some(b"k".as_slice())));
        let header = |key: &str| {
            let headers = record.headers().unwrap();
            let header = headers.iter().find(|header| header.key == key)?;
            Some(String::from_utf8(header.value?.to_vec()).unwrap())
        };
        assert_eq!(header("ce_type").as_deref(), kind);
        assert_eq!(header("tidegate_dead_offset"), Some(offset.to_string()));
        assert_eq!(header("tidegate_dead_partition"), Some("0".to_owned()));
        let topic = log.0.client.names.topic(Topic::Bookings);
        assert_eq!(header("tidegate_dead_topic").as_deref(), Some(topic));
        assert!(!header("tidegate_dead_reason").unwrap().is_empty());
    }
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_to_be_set_aside_whole_holds_up_nobody() {
    let test = TestLog::new(1);
    let log = test.open().await;
    let event = SampleEvent::default();
    let good = [placed(&event, "a-1"), placed(&event, "a-2")];
    log.append(good[..1].to_vec()).await.unwrap();
    // As large as a record may be: with the reason in its headers it would be larger.
    let value = vec![b'x'; test.client().bounds.message_bytes_max as usize - 200];
    append_raw(&log, Some("nobody's type"), Some(&value)).await;
    log.append(good[1..].to_vec()).await.unwrap();
    let mut reader = log.subscribe(Group::PaymentWorker).await.unwrap();
    assert_eq!(next(reader.as_mut(), good.len()).await, good);
    let dead = test.raw(Topic::Dead, 1).await;
    assert_eq!((dead.len(), dead[0].payload(), dead[0].key()), (1, None, None));
    let headers = dead[0].headers().unwrap();
    let header = |key: &str| headers.iter().find(|header| header.key == key).unwrap().value;
    assert_eq!(header("tidegate_dead_bytes"), Some(value.len().to_string().as_bytes()));
    assert_eq!(header("tidegate_dead_offset"), Some(b"1".as_slice()));
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_dropped_while_it_buries_loses_nothing() {
    let test = TestLog::new(1);
    let log = test.open().await;
    let event = SampleEvent::default();
    let good = [placed(&event, "a-1"), placed(&event, "a-2")];
    log.append(good[..1].to_vec()).await.unwrap();
    append_raw(&log, None, None).await;
    log.append(good[1..].to_vec()).await.unwrap();
    let mut reader = log.subscribe(Group::PaymentWorker).await.unwrap();
    let mut got = Vec::new();
    soon("both messages", async {
        while got.len() < 2 {
            let found = match reader.next(10).now_or_never() {
                Some(found) => found.unwrap(),
                None => Vec::new(),
            };
            got.extend(found.into_iter().map(|delivery| delivery.message));
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(got, good);
    assert_eq!(test.raw(Topic::Dead, 1).await.len(), 1, "a dropped call buries nothing twice");
    test.remove().await;
}

type Seen = std::sync::Mutex<HashSet<BookingId>>;

fn note(seen: &Seen, delivery: &ledger::Delivery) {
    let id = BookingId::parse(delivery.message.key()).unwrap();
    seen.lock().unwrap().insert(id);
}

/// Reads and commits until `enough`; each message is noted before it is committed, as an effect
/// would be.
async fn work(reader: &mut dyn Subscription, seen: &Seen, enough: impl Fn(usize) -> bool) {
    while !enough(seen.lock().unwrap().len()) {
        let next = tokio::time::timeout(Duration::from_millis(100), reader.next(7)).await;
        let Ok(batch) = next else { continue };
        for delivery in batch.unwrap() {
            note(seen, &delivery);
        }
        reader.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_changes_loses_nothing() {
    const COUNT: usize = 600;
    let test = TestLog::new(12);
    let log = test.open().await;
    let event = SampleEvent::default();
    let sent: Vec<_> = (0..COUNT).map(|n| placed(&event, &format!("a-{n}"))).collect();
    let seen = Seen::default();
    let mut first = log.subscribe(Group::PaymentWorker).await.unwrap();
    log.append(sent[..200].to_vec()).await.unwrap();
    soon("the first reader's part", work(first.as_mut(), &seen, |seen| seen >= 100)).await;
    // A second one joins while the first has work in hand that it never commits.
    let in_hand = soon("a batch", first.next(5)).await.unwrap();
    assert!(!in_hand.is_empty());
    let mut second = log.subscribe(Group::PaymentWorker).await.unwrap();
    log.append(sent[200..400].to_vec()).await.unwrap();
    // Until the second has partitions of its own, and with them messages.
    let mut shared = false;
    soon("the second reader's part", async {
        while !shared {
            let (_, found) = tokio::join!(
                tokio::time::timeout(Duration::from_millis(300), first.next(1)),
                tokio::time::timeout(Duration::from_millis(300), second.next(50)),
            );
            for delivery in found.into_iter().flat_map(Result::unwrap) {
                shared = true;
                note(&seen, &delivery);
            }
        }
    })
    .await;
    // The first one dies; what it had in hand comes to the second.
    drop(first);
    log.append(sent[400..].to_vec()).await.unwrap();
    soon("the rest", work(second.as_mut(), &seen, |seen| seen >= COUNT)).await;
    second.commit().await.unwrap();
    settled(&log, Group::PaymentWorker).await;
    let seen = seen.into_inner().unwrap();
    for message in &sent {
        assert!(seen.contains(&BookingId::parse(message.key()).unwrap()), "{}", message.key());
    }
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_as_old_as_its_oldest_message() {
    let test = TestLog::new(4);
    let log = test.open().await;
    let event = SampleEvent::default();
    for n in 0..12 {
        log.append(vec![placed(&event, &format!("a-{n}"))]).await.unwrap();
    }
    let mut reader = log.subscribe(Group::PaymentWorker).await.unwrap();
    let mut unread = Vec::new();
    while unread.len() < 12 {
        let found = soon("a delivery", reader.next(12)).await.unwrap();
        unread.extend(found.into_iter().map(|delivery| delivery.appended_at));
    }
    while !unread.is_empty() {
        let backlog = log.backlog(Group::PaymentWorker).await.unwrap();
        assert_eq!(backlog.messages, unread.len() as u64);
        assert_eq!(backlog.oldest_at.as_ref(), unread.iter().min());
        reader.commit_first(3).await.unwrap();
        unread.drain(..3);
    }
    let empty = log.backlog(Group::PaymentWorker).await.unwrap();
    assert_eq!((empty.messages, empty.oldest_at), (0, None));
    test.remove().await;
}
