//! The booking log as a hostile neighbour uses it: messages again, and messages nobody can read.
use crate::spike::TopicMessage;
use anyhow::{Context, ensure};
use ledger::Topic;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Marks what we have written ourselves.
const OURS: &str = "loadtest";
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// How long a bad message may take to the dead-letter topic.
const DEAD_WITHIN: Duration = Duration::from_secs(30);

const TOPICS: [Topic; 3] = [Topic::Bookings, Topic::Outcomes, Topic::Dead];
/// How long a new group may take to its first message, and how long nothing comes at the end.
const JOINED_WITHIN: Duration = Duration::from_secs(15);
const QUIET: Duration = Duration::from_secs(2);

/// A broker, and the names of one sale's topics.
pub(super) struct Log {
    brokers: String,
    prefix: String,
}

impl Log {
    pub(super) fn new(brokers: String, prefix: &str) -> Self {
        Self { brokers, prefix: prefix.to_owned() }
    }

    /// Appends every command and outcome a second time as it comes, and all of them once more
    /// at the end; returns how many messages that made.
    pub(super) async fn repeat_for(&self, length: Duration) -> anyhow::Result<u64> {
        let until = Instant::now() + length;
        let consumer = self.consumer(&[Topic::Bookings, Topic::Outcomes])?;
        let producer = self.producer()?;
        let mut seen = Vec::new();
        while let Ok(received) = timeout_at(until, consumer.recv()).await {
            let message = received.context("reading the booking log")?.detach();
            if !is_ours(&message) {
                again(&producer, &message).await?;
                seen.push(message);
            }
        }
        for message in &seen {
            again(&producer, message).await?;
        }
        Ok(2 * seen.len() as u64)
    }

    /// Appends messages that nobody can read, and waits until each is a dead letter.
    pub(super) async fn poison(&self) -> anyhow::Result<u64> {
        let producer = self.producer()?;
        let mut sent = HashSet::new();
        for (at, (topic, kind, value)) in POISON.iter().enumerate() {
            let (name, key) = (self.name(*topic), format!("poison-{at}"));
            let record = FutureRecord::to(&name).key(&key).headers(headers(*kind));
            let record = FutureRecord { payload: *value, ..record };
            let sending = producer.send(record, SENT_WITHIN).await;
            sending.map_err(|(error, _)| error).context("appending a bad message")?;
            sent.insert(key.into_bytes());
        }
        let (count, consumer) = (sent.len() as u64, self.consumer(&[Topic::Dead])?);
        let until = Instant::now() + DEAD_WITHIN;
        while !sent.is_empty() {
            let Ok(received) = timeout_at(until, consumer.recv()).await else { break };
            let message = received.context("reading the dead letters")?;
            sent.remove(message.key().unwrap_or_default());
        }
        let lost: Vec<_> = sent.iter().map(|key| String::from_utf8_lossy(key)).collect();
        ensure!(lost.is_empty(), "not in the dead-letter topic (I16): {}", lost.join(", "));
        Ok(count)
    }

    /// Every message of all topics, as far as nothing more comes.
    pub(super) async fn read_all(&self) -> anyhow::Result<Vec<TopicMessage>> {
        let consumer = self.consumer_in("reading", &TOPICS)?;
        let mut messages = Vec::new();
        let mut until = Instant::now() + JOINED_WITHIN;
        while let Ok(received) = timeout_at(until, consumer.recv()).await {
            let message = received.context("reading the booking log")?.detach();
            let named = TOPICS.into_iter().find(|topic| self.name(*topic) == message.topic());
            let topic = named.context("a message of a topic that nobody asked for")?;
            let parts = [message.key(), message.payload()].into_iter().flatten();
            messages.push(TopicMessage { topic, bytes: parts.collect::<Vec<_>>().concat() });
            until = Instant::now() + QUIET;
        }
        Ok(messages)
    }

    fn consumer(&self, topics: &[Topic]) -> anyhow::Result<StreamConsumer> {
        self.consumer_in(OURS, topics)
    }

    fn consumer_in(&self, group: &str, topics: &[Topic]) -> anyhow::Result<StreamConsumer> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", format!("{}{group}", self.prefix))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .create()
            .context("starting a consumer")?;
        let names: Vec<String> = topics.iter().map(|topic| self.name(*topic)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        consumer.subscribe(&names).context("subscribing")?;
        Ok(consumer)
    }

    fn producer(&self) -> anyhow::Result<FutureProducer> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("partitioner", "murmur2_random");
        config.create().context("starting a producer")
    }

    fn name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.name())
    }
}

/// On which topic, with which type header, and with which bytes.
type Bad = (Topic, Option<&'static str>, Option<&'static [u8]>);

const POISON: [Bad; 9] = [
    (Topic::Bookings, Some("tidegate.booking_command.v1"), Some(b"{")),
    (Topic::Bookings, Some("tidegate.booking_command.v1"), Some(b"{\"kind\":\"place\"}")),
    (Topic::Bookings, Some("tidegate.booking_command.v1"), Some(b"\xff\xfe\x00")),
    (Topic::Bookings, Some("tidegate.booking_command.v2"), Some(b"{\"kind\":\"place\"}")),
    (Topic::Bookings, Some("somebody.else.v1"), Some(b"{}")),
    (Topic::Bookings, None, Some(b"{}")),
    (Topic::Bookings, Some("tidegate.booking_command.v1"), None),
    (Topic::Outcomes, Some("tidegate.booking_outcome.v1"), Some(b"[]")),
    (Topic::Outcomes, None, None),
];

fn headers(kind: Option<&str>) -> OwnedHeaders {
    let ours = OwnedHeaders::new().insert(Header { key: OURS, value: Some("poison") });
    match kind {
        Some(kind) => ours.insert(Header { key: "ce_type", value: Some(kind) }),
        None => ours,
    }
}

fn is_ours(message: &OwnedMessage) -> bool {
    message.headers().is_some_and(|headers| headers.iter().any(|header| header.key == OURS))
}

async fn again(producer: &FutureProducer, message: &OwnedMessage) -> anyhow::Result<()> {
    let headers = message.headers().cloned().unwrap_or_else(OwnedHeaders::new);
    let headers = headers.insert(Header { key: OURS, value: Some("again") });
    let record = FutureRecord::to(message.topic()).headers(headers);
    let record = FutureRecord { key: message.key(), payload: message.payload(), ..record };
    let sending = producer.send::<[u8], [u8], _>(record, SENT_WITHIN).await;
    sending.map_err(|(error, _)| error).context("appending a message again")?;
    Ok(())
}
