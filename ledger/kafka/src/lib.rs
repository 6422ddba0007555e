//! The booking log on Kafka: a topic a kind of message, keyed by booking id, read by groups.
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod backlog;
mod context;
mod positions;
mod producer;
mod progress;
mod reader;
mod record;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod topics;

use async_trait::async_trait;
use backlog::Meter;
use context::LogContext;
use ledger::{
    Backlog, BookingLog, Clock, DeadLetter, Group, Message, StoreError, Subscription, Topic,
};
use producer::{Appender, Outgoing};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use reader::Reader;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;
use topics::Names;

/// How long the brokers may take to say that they are there.
const PING_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The bounds of a [`KafkaLog`]. What concerns topics counts when they are made; topics that are
/// there stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaBounds {
    /// Stands before the name of every topic and group. Empty in production, so that the names
    /// are those of the wire contract; tests that share a server take one each.
    pub name_prefix: String,
    pub bookings_partitions: u16,
    pub outcomes_partitions: u16,
    pub dead_partitions: u16,
    /// Copies of each partition. With 3, `insync_replicas_min` of 2 survives the loss of one.
    pub replication: u16,
    /// Copies that must have a message before it is acknowledged.
    pub insync_replicas_min: u16,
    pub retention: Duration,
    pub dead_retention: Duration,
    pub message_bytes_max: u32,
    /// How long a message waits for company in its batch.
    pub linger: Duration,
    /// How long a message is tried before its append is answered with an error.
    pub delivery_timeout: Duration,
    /// Messages appended and not acknowledged, at once.
    pub inflight_max: u32,
    /// Bytes of them.
    pub inflight_bytes_max: u32,
    /// Messages in flight and no acknowledgement for this long: more are refused at once.
    pub stalled_after: Duration,
    /// A reader that was not heard of for this long loses its partitions.
    pub session_timeout: Duration,
    /// A reader that does not ask for messages for this long loses its partitions.
    pub poll_interval_max: Duration,
    /// Messages that a reader holds ready, a partition.
    pub prefetch_messages: u32,
    /// Bytes that a reader holds ready, all in all.
    pub prefetch_bytes: u32,
    /// For everything asked of the brokers but appends: topics, offsets, commits.
    pub request_timeout: Duration,
    /// More of librdkafka's own properties, such as a login; those above come over them.
    pub properties: Vec<(String, String)>,
}

/// The booking log of one Kafka cluster. Clones share one producer.
#[derive(Clone)]
pub struct KafkaLog(Arc<Inner>);

struct Inner {
    client: Client,
    appender: Appender,
    /// One a group, made when its backlog is first asked for.
    meters: [Arc<Mutex<Option<Meter>>>; Group::ALL.len()],
    /// Readers that are leaving their groups.
    leaving: TaskTracker,
}

/// What every client of the cluster is made from.
#[derive(Clone)]
struct Client {
    brokers: Arc<str>,
    names: Names,
    bounds: Arc<KafkaBounds>,
    clock: Clock,
}

impl KafkaLog {
    /// Connects to the cluster at `brokers` (`host:port`, separated by commas) and creates the
    /// topics that are missing.
    pub async fn open(
        brokers: &str,
        bounds: KafkaBounds,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let names = Names::new(&bounds.name_prefix);
        let client = Client { brokers: brokers.into(), names, bounds: Arc::new(bounds), clock };
        topics::ensure(&client).await?;
        let appender = Appender::new(client.clone())?;
        let (meters, leaving) = (Default::default(), TaskTracker::new());
        Ok(Self(Arc::new(Inner { client, appender, meters, leaving })))
    }

    /// Asks the brokers for an answer. While none comes, appends are refused at once.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.0.appender.ping(PING_TIMEOUT.min(self.0.client.bounds.request_timeout)).await
    }

    /// Waits until the readers that were dropped have left their groups, so that others need not
    /// wait until they are missed.
    pub async fn close(&self) {
        self.0.leaving.close();
        let left =
            tokio::time::timeout(self.0.client.bounds.request_timeout, self.0.leaving.wait());
        if left.await.is_err() {
            tracing::warn!("readers of the booking log could not leave their groups in time");
        }
    }
}

#[async_trait]
impl BookingLog for KafkaLog {
    /// Unavailable: surely not appended. Unknown: perhaps, or not all of it.
    async fn append(&self, messages: Vec<Message>) -> Result<(), StoreError> {
        let now = self.0.client.clock.now();
        let outgoing = messages.into_iter().map(|message| Outgoing::of(message, now)).collect();
        self.0.appender.append("appending to the booking log", outgoing).await
    }

    async fn subscribe(&self, group: Group) -> Result<Box<dyn Subscription>, StoreError> {
        Ok(Box::new(Reader::new(self.0.clone(), group)?))
    }

    async fn append_dead(&self, group: Group, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let client = &self.0.client;
        let (names, now) = (&client.names, client.clock.now());
        let bytes_max = client.bounds.message_bytes_max as usize;
        let dead = letters.iter().map(|letter| {
            let topic = names.topic(letter.delivery.message.topic());
            let record = record::dead_letter(letter, topic, &names.group(group), now, bytes_max);
            Outgoing::dead(&record)
        });
        self.0.appender.append("setting messages aside", dead.collect()).await
    }

    async fn backlog(&self, group: Group) -> Result<Backlog, StoreError> {
        let index = match group {
            Group::PaymentWorker => 0,
            Group::OutcomeApplier => 1,
            Group::SlotEnder => 2,
            Group::Projector => 3,
        };
        // One question a group at a time: while the brokers are away, askers do not pile up
        // threads.
        let meter = self.0.meters[index].clone().lock_owned().await;
        let client = self.0.client.clone();
        let measure = tokio::task::spawn_blocking(move || backlog::measure(meter, &client, group));
        measure.await.map_err(|error| StoreError::unavailable("measuring a backlog", error))?
    }
}

impl Client {
    /// What all clients have in common.
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.bounds.properties {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", self.brokers.as_ref())
            .set("client.id", "tidegate")
            // A broker that comes back is found within a second, not ten.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("log.connection.close", "false")
            .set_log_level(RDKafkaLogLevel::Info);
        config
    }

    fn consumer_config(&self, group: Group) -> ClientConfig {
        let bounds = &self.bounds;
        let session = bounds.session_timeout;
        let heartbeat = session.checked_div(10).unwrap_or(session);
        let mut config = self.config();
        config
            .set("group.id", self.names.group(group))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", millis(session))
            .set("heartbeat.interval.ms", millis(heartbeat))
            .set("max.poll.interval.ms", millis(bounds.poll_interval_max))
            .set("queued.min.messages", bounds.prefetch_messages.to_string())
            .set("queued.max.messages.kbytes", kbytes(bounds.prefetch_bytes))
            .set("fetch.message.max.bytes", bounds.message_bytes_max.to_string());
        config
    }

    /// The topic and its name of each kind.
    fn topic_names(&self) -> impl Iterator<Item = (Topic, &str)> {
        Topic::ALL.into_iter().map(|topic| (topic, self.names.topic(topic)))
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn kbytes(bytes: u32) -> String {
    bytes.div_ceil(1 << 10).max(1).to_string()
}
