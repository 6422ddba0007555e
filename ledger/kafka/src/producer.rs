//! Appending: one idempotent producer, and a tracker for each append that its delivery reports end.
mod append_tracker;
mod delivery_poller;
mod in_flight_gauge;

use super::progress::Progress;
use super::record::{DeadRecord, headers_of};
use super::{Client, context, kbytes, millis};
use append_tracker::AppendTracker;
pub(super) use append_tracker::Completion;
use delivery_poller::DeliveryPoller;
use in_flight_gauge::InFlightGauge;
use ledger::{CircuitBreaker, Entry, Message, Probe, StoreError, Timestamp, Topic, lock};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// How long an append may be held up by a probe for a broker that is back.
const PROBE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long everybody is refused between two probes for a broker that is away.
const PAUSE: Duration = Duration::from_millis(250);

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
    breaker: Arc<CircuitBreaker>,
    progress: Arc<Progress>,
    in_flight: Arc<InFlightGauge>,
    poller: DeliveryPoller,
}

type Producer = Arc<BaseProducer<Deliveries>>;

/// The producer's callbacks: they count and wake, and never wait.
struct Deliveries {
    breaker: Arc<CircuitBreaker>,
    progress: Arc<Progress>,
    in_flight: Arc<InFlightGauge>,
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
        let breaker = Arc::new(CircuitBreaker::new(PAUSE, PAUSE));
        let progress = Arc::new(Progress::new());
        let in_flight = Arc::new(InFlightGauge::new(client.bounds.inflight_max));
        let producer = create(&client, &breaker, &progress, &in_flight)?;
        let poller = DeliveryPoller::default();
        poller.watch(&producer);
        Ok(Self { client, producer: Mutex::new(producer), breaker, progress, in_flight, poller })
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
    ) -> Result<Completion, StoreError> {
        let inflight_max = self.client.bounds.inflight_max;
        let count = u32::try_from(outgoing.len()).unwrap_or(u32::MAX);
        if count > inflight_max {
            return Err(StoreError::broken(doing, "more messages than may be in flight"));
        }
        if self.is_stalled() {
            return Err(StoreError::unavailable(doing, "no broker acknowledges anything"));
        }
        let producer = self.producer(doing)?;
        if !self.in_flight.enter(count) {
            return Err(StoreError::unavailable(doing, "too many messages are in flight"));
        }
        let counts = outgoing.iter().map(|outgoing| outgoing.topic).collect();
        let (tracker, completion) = AppendTracker::start(doing, counts);
        for (sent, outgoing) in (0u32..).zip(outgoing) {
            if let Err(error) = self.send(&producer, outgoing, &tracker) {
                // What comes behind is not sent either, so that the order holds.
                let refused = count.saturating_sub(sent);
                self.in_flight.refused(refused);
                tracker.refused(refused, error);
                break;
            }
        }
        self.poller.wake();
        Ok(completion)
    }

    fn send(
        &self,
        producer: &Producer,
        outgoing: Outgoing,
        tracker: &Arc<AppendTracker>,
    ) -> Result<(), KafkaError> {
        let name = self.client.names.topic(outgoing.topic);
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(name, tracker.clone())
            .headers(outgoing.headers);
        record.key = outgoing.key.as_deref();
        record.payload = outgoing.value.as_deref();
        producer.send(record).map_err(|(error, _)| error)
    }

    /// False while no broker can be reached. One caller at a time finds out whether one is back.
    async fn is_reachable(&self) -> bool {
        match self.breaker.enter(Instant::now()) {
            Entry::Call => true,
            Entry::Refused => false,
            Entry::Probe(probe) => self.probe(&probe, PROBE_TIMEOUT).await.is_ok(),
        }
    }

    /// Asks the brokers for an answer, and remembers whether one came.
    pub(super) async fn ping(&self, patience: Duration) -> Result<(), StoreError> {
        self.probe(&self.breaker.probe(), patience).await
    }

    async fn probe(&self, probe: &Probe, patience: Duration) -> Result<(), StoreError> {
        const DOING: &str = "looking for the booking log's brokers";
        let producer = self.producer(DOING)?;
        let name = self.client.names.topic(Topic::Bookings).to_owned();
        let call = move || producer.client().fetch_metadata(Some(&name), patience).map(drop);
        let reply = tokio::task::spawn_blocking(call).await;
        let reply = reply.map_err(|error| StoreError::unavailable(DOING, error))?;
        match &reply {
            Ok(()) => self.breaker.succeeded(probe, Instant::now()),
            Err(_) => self.breaker.failed(Instant::now()),
        }
        reply.map_err(|error| StoreError::unavailable(DOING, error))
    }

    /// True while what is in flight does not move. With nothing in flight the next append goes
    /// through: it finds out whether a broker takes it.
    fn is_stalled(&self) -> bool {
        if self.in_flight.inflight() == 0 {
            self.progress.acknowledged();
            return false;
        }
        self.progress.idle() > self.client.bounds.stalled_after
    }

    fn producer(&self, doing: &'static str) -> Result<Producer, StoreError> {
        let mut producer = lock(&self.producer);
        if producer.client().context().ended.load(Ordering::Acquire) {
            let new = create(&self.client, &self.breaker, &self.progress, &self.in_flight);
            let new = new.map_err(|error| StoreError::unavailable(doing, error))?;
            self.poller.watch(&new);
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
    breaker: &Arc<CircuitBreaker>,
    progress: &Arc<Progress>,
    in_flight: &Arc<InFlightGauge>,
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
            breaker: breaker.clone(),
            progress: progress.clone(),
            in_flight: in_flight.clone(),
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
            // Perhaps only an idle connection was closed: the next append finds out.
            Some(RDKafkaErrorCode::AllBrokersDown) => self.breaker.suspect(Instant::now()),
            Some(RDKafkaErrorCode::Fatal) => self.ended.store(true, Ordering::Release),
            Some(_) | None => {}
        }
        context::note(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<AppendTracker>;

    fn delivery(&self, result: &DeliveryResult<'_>, tracker: Self::DeliveryOpaque) {
        self.in_flight.reported(result.is_ok());
        match result {
            Ok(_) => {
                tracker.appended();
            }
            Err((error, _)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
                    self.ended.store(true, Ordering::Release);
                }
                tracker.failed(error.clone());
            }
        }
    }
}
