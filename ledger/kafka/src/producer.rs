//! Appending: one idempotent producer, and one countdown an append that the delivery callback ends.
mod countdown;
mod hearing;
mod traffic;

use super::health::Health;
use super::record::{DeadRecord, headers_of};
use super::{Client, context, kbytes, millis};
use countdown::Countdown;
pub(super) use countdown::Ending;
use hearing::Hearing;
use ledger::{Message, StoreError, Timestamp, Topic};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use traffic::Traffic;

/// How long an append may be held up by a look for a broker that is back.
const GLANCE: Duration = Duration::from_millis(100);

/// A record about to be appended.
pub(super) struct Outgoing {
    topic: Topic,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: OwnedHeaders,
}

/// The producer and what bounds it.
pub(super) struct Appender {
    client: Client,
    producer: Mutex<Producer>,
    health: Arc<Health>,
    traffic: Arc<Traffic>,
    hearing: Hearing,
}

type Producer = Arc<BaseProducer<Deliveries>>;

/// The producer's callbacks: they count and wake, and never wait.
struct Deliveries {
    health: Arc<Health>,
    traffic: Arc<Traffic>,
    /// This producer has ended for good, and a new one must take its place.
    ended: AtomicBool,
}

impl Outgoing {
    pub(super) fn of(message: Message, now: Timestamp) -> Self {
        Self {
            topic: message.topic(),
            key: Some(message.key().as_bytes().to_vec()),
            headers: headers_of(&message, now),
            value: Some(message.into_value()),
        }
    }

    #[cfg(test)]
    pub(super) fn raw(
        topic: Topic,
        key: &[u8],
        value: Option<&[u8]>,
        headers: OwnedHeaders,
    ) -> Self {
        Self { topic, key: Some(key.to_vec()), value: value.map(<[u8]>::to_vec), headers }
    }

    /// The copy of an unreadable record for the dead-letter topic.
    pub(super) fn dead(record: &DeadRecord) -> Self {
        Self {
            topic: Topic::Dead,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        }
    }
}

impl Appender {
    pub(super) fn new(client: Client) -> Result<Self, StoreError> {
        let health = Arc::new(Health::new());
        let traffic = Arc::new(Traffic::new(client.bounds.inflight_max));
        let producer = create(&client, &health, &traffic)?;
        let hearing = Hearing::default();
        hearing.of(&producer);
        Ok(Self { client, producer: Mutex::new(producer), health, traffic, hearing })
    }

    /// Returns once all are acknowledged. Everything is handed to the producer at one moment: a
    /// caller who leaves leaves all of them appended, or none.
    pub(super) async fn append(
        &self,
        doing: &'static str,
        outgoing: Vec<Outgoing>,
    ) -> Result<(), StoreError> {
        if outgoing.is_empty() {
            return Ok(());
        }
        if !self.is_reachable().await {
            return Err(StoreError::unavailable(doing, "all brokers are away"));
        }
        self.begin(doing, outgoing)?.await
    }

    /// Hands everything to the producer; what is returned ends once all are acknowledged.
    pub(super) fn begin(
        &self,
        doing: &'static str,
        outgoing: Vec<Outgoing>,
    ) -> Result<Ending, StoreError> {
        let inflight_max = self.client.bounds.inflight_max;
        let count = u32::try_from(outgoing.len()).unwrap_or(u32::MAX);
        if count > inflight_max {
            return Err(StoreError::broken(doing, "more messages than may be in flight"));
        }
        if self.is_stalled() {
            return Err(StoreError::unavailable(doing, "no broker acknowledges anything"));
        }
        let producer = self.producer(doing)?;
        if !self.traffic.enter(count) {
            return Err(StoreError::unavailable(doing, "too many messages are in flight"));
        }
        let counts = outgoing.iter().map(|outgoing| outgoing.topic).collect();
        let (countdown, ending) = Countdown::start(doing, counts);
        for (sent, outgoing) in (0u32..).zip(outgoing) {
            if let Err(error) = self.send(&producer, outgoing, &countdown) {
                // What comes behind is not sent either, so that the order holds.
                let refused = count.saturating_sub(sent);
                self.traffic.refused(refused);
                countdown.refused(refused, error);
                break;
            }
        }
        self.hearing.wake();
        Ok(ending)
    }

    fn send(
        &self,
        producer: &Producer,
        outgoing: Outgoing,
        countdown: &Arc<Countdown>,
    ) -> Result<(), KafkaError> {
        let name = self.client.names.topic(outgoing.topic);
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(name, countdown.clone())
            .headers(outgoing.headers);
        record.key = outgoing.key.as_deref();
        record.payload = outgoing.value.as_deref();
        producer.send(record).map_err(|(error, _)| error)
    }

    /// False while no broker can be reached. One caller at a time finds out whether one is back.
    async fn is_reachable(&self) -> bool {
        if !self.health.is_down() {
            return true;
        }
        let Some(_looking) = self.health.may_look(Instant::now()) else { return false };
        self.look(GLANCE).await.is_ok()
    }

    /// Asks the brokers for an answer, and remembers whether one came.
    pub(super) async fn look(&self, patience: Duration) -> Result<(), StoreError> {
        const DOING: &str = "looking for the booking log's brokers";
        let (producer, losses) = (self.producer(DOING)?, self.health.losses());
        let name = self.client.names.topic(Topic::Bookings).to_owned();
        let ask = move || producer.client().fetch_metadata(Some(&name), patience).map(drop);
        let asked = tokio::task::spawn_blocking(ask).await;
        let asked = asked.map_err(|error| StoreError::unavailable(DOING, error))?;
        match &asked {
            Ok(()) => self.health.answered(losses),
            Err(_) => self.health.lost(),
        }
        asked.map_err(|error| StoreError::unavailable(DOING, error))
    }

    /// True while what is in flight does not move. With nothing in flight the next append goes
    /// through: it finds out whether a broker takes it.
    fn is_stalled(&self) -> bool {
        if self.traffic.inflight() == 0 {
            self.health.progressed();
            return false;
        }
        self.health.idle() > self.client.bounds.stalled_after
    }

    fn producer(&self, doing: &'static str) -> Result<Producer, StoreError> {
        let mut producer = self.producer.lock().expect("no panic while the lock is held");
        if producer.client().context().ended.load(Ordering::Acquire) {
            let new = create(&self.client, &self.health, &self.traffic);
            let new = new.map_err(|error| StoreError::unavailable(doing, error))?;
            self.hearing.of(&new);
            let old = std::mem::replace(&mut *producer, new);
            // The end of a producer waits for what it has still to report.
            drop(tokio::task::spawn_blocking(move || drop(old)));
            tracing::warn!("the producer was replaced after a fatal error");
        }
        Ok(producer.clone())
    }
}

fn create(
    client: &Client,
    health: &Arc<Health>,
    traffic: &Arc<Traffic>,
) -> Result<Producer, StoreError> {
    let bounds = &client.bounds;
    let mut config = client.config();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", millis(bounds.linger))
        .set("delivery.timeout.ms", millis(bounds.delivery_timeout))
        .set("message.max.bytes", bounds.message_bytes_max.to_string())
        .set("queue.buffering.max.messages", bounds.inflight_max.to_string())
        .set("queue.buffering.max.kbytes", kbytes(bounds.inflight_bytes_max))
        // The partition of a key is the one that Java's clients choose, for those who write too.
        .set("partitioner", "murmur2_random");
    config
        .create_with_context(Deliveries {
            health: health.clone(),
            traffic: traffic.clone(),
            ended: AtomicBool::new(false),
        })
        .map(Arc::new)
        .map_err(|error| StoreError::broken("starting the booking log's producer", error))
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.health.lost(),
            Some(RDKafkaErrorCode::Fatal) => self.ended.store(true, Ordering::Release),
            Some(_) | None => {}
        }
        context::note(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Countdown>;

    fn delivery(&self, result: &DeliveryResult<'_>, countdown: Self::DeliveryOpaque) {
        self.traffic.reported(result.is_ok());
        match result {
            Ok(_) => {
                countdown.appended();
            }
            Err((error, _)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    self.ended.store(true, Ordering::Release);
                }
                countdown.failed(error.clone());
            }
        }
    }
}
