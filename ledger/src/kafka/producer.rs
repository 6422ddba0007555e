//! Appending: one idempotent producer, and one countdown an append that the delivery callback ends.
mod countdown;

use super::record::{DeadRecord, headers_of};
use super::{Client, context, kbytes, millis};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::log::{Message, Topic};
use countdown::Countdown;
pub(super) use countdown::Ending;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use tokio::time::Instant;

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
    /// One permit a message that is not acknowledged.
    room: Arc<Semaphore>,
}

type Producer = ThreadedProducer<Deliveries>;

/// The producer's callbacks: they count and wake, and never wait.
struct Deliveries(Arc<Health>);

/// What the callbacks have heard of the brokers.
struct Health {
    started: Instant,
    /// Milliseconds from `started` to the last acknowledgement.
    progress_ms: AtomicU64,
    all_down: AtomicBool,
    /// The producer has ended for good, and a new one must take its place.
    fatal: AtomicBool,
}

impl Outgoing {
    pub(super) fn of(message: &Message, now: Timestamp) -> Self {
        Self {
            topic: message.topic(),
            key: Some(message.key().as_bytes().to_vec()),
            value: Some(message.encode()),
            headers: headers_of(message, now),
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
        let health = Arc::new(Health {
            started: Instant::now(),
            progress_ms: AtomicU64::new(0),
            all_down: AtomicBool::new(false),
            fatal: AtomicBool::new(false),
        });
        let producer = Mutex::new(create(&client, &health)?);
        let room = Arc::new(Semaphore::new(client.bounds.inflight_max as usize));
        Ok(Self { client, producer, health, room })
    }

    /// Returns once all are acknowledged. Everything is handed to the producer before the first
    /// await: a caller who leaves leaves all of them appended, or none.
    pub(super) async fn append(
        &self,
        doing: &'static str,
        outgoing: Vec<Outgoing>,
    ) -> Result<(), StoreError> {
        if outgoing.is_empty() {
            return Ok(());
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
            return Err(StoreError::unavailable(doing, "all brokers are away"));
        }
        let Ok(permit) = self.room.clone().try_acquire_many_owned(count) else {
            return Err(StoreError::unavailable(doing, "too many messages are in flight"));
        };
        let producer = self.producer(doing)?;
        let topics = outgoing.iter().map(|outgoing| outgoing.topic).collect();
        let (countdown, ending) = Countdown::start(doing, topics, permit);
        for (sent, outgoing) in (0u32..).zip(outgoing) {
            if let Err(error) = self.send(&producer, outgoing, &countdown) {
                // What comes behind is not sent either, so that the order holds.
                countdown.refused(count.saturating_sub(sent), error);
                break;
            }
        }
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

    /// True while no broker can be reached and what is in flight does not move. With nothing in
    /// flight the next append goes through: it finds out whether a broker is back.
    fn is_stalled(&self) -> bool {
        let free = self.room.available_permits();
        if free >= self.client.bounds.inflight_max as usize {
            self.health.progressed();
            return false;
        }
        let stalled_after = self.client.bounds.stalled_after.as_millis();
        self.health.all_down.load(Ordering::Acquire)
            && u128::from(self.health.idle_ms()) > stalled_after
    }

    fn producer(&self, doing: &'static str) -> Result<Producer, StoreError> {
        let mut producer = self.producer.lock().expect("no panic while the lock is held");
        if self.health.fatal.swap(false, Ordering::AcqRel) {
            let new = create(&self.client, &self.health).inspect_err(|_| {
                self.health.fatal.store(true, Ordering::Release);
            });
            let new = new.map_err(|error| StoreError::unavailable(doing, error))?;
            let old = std::mem::replace(&mut *producer, new);
            // The end of a producer waits for its thread.
            drop(tokio::task::spawn_blocking(move || drop(old)));
            tracing::warn!("the producer was replaced after a fatal error");
        }
        Ok(producer.clone())
    }
}

fn create(client: &Client, health: &Arc<Health>) -> Result<Producer, StoreError> {
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
        .create_with_context(Deliveries(health.clone()))
        .map_err(|error| StoreError::broken("starting the booking log's producer", error))
}

impl Health {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn idle_ms(&self) -> u64 {
        self.now_ms().saturating_sub(self.progress_ms.load(Ordering::Acquire))
    }

    fn progressed(&self) {
        self.progress_ms.store(self.now_ms(), Ordering::Release);
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.0.all_down.store(true, Ordering::Release);
            }
            Some(RDKafkaErrorCode::Fatal) => self.0.fatal.store(true, Ordering::Release),
            Some(_) | None => {}
        }
        context::note(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Countdown>;

    fn delivery(&self, result: &DeliveryResult<'_>, countdown: Self::DeliveryOpaque) {
        match result {
            Ok(_) => {
                self.0.all_down.store(false, Ordering::Release);
                self.0.progressed();
                countdown.appended();
            }
            Err((error, _)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    self.0.fatal.store(true, Ordering::Release);
                }
                countdown.failed(error.clone());
            }
        }
    }
}
