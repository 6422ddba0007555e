//! The two sides of the produce benchmark, each in a process of its own.
use super::{ProduceFlags, Side, messages, topic};
use crate::bench::defaults;
use crate::say;
use anyhow::{Context, bail};
use clap::Args;
use ledger::{BookingLog, Clock, Message};
use ledger_kafka::KafkaLog;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a side says once it can append.
pub(super) const READY: &str = "ready";

/// Records between two looks at what was delivered.
const POLL_EVERY: u64 = 100;
/// How often all samples are made to find out what that costs.
const MADE: u32 = 300;
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(crate) struct SideFlags {
    #[arg(value_enum)]
    side: Side,
    /// Stands before the topic's name.
    prefix: String,
    #[command(flatten)]
    how: ProduceFlags,
}

/// A record, ready to be sent.
struct Ready {
    key: String,
    payload: Vec<u8>,
    headers: OwnedHeaders,
}

/// The one delivery callback: it counts.
#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
}

/// Reads a time in milliseconds a line, appends for so long, and answers with how many messages
/// were acknowledged, and how many nanoseconds it took to make one of them.
pub(crate) fn side(flags: &SideFlags) -> anyhow::Result<()> {
    match flags.side {
        Side::Ours => ours(flags),
        Side::Bare => bare(flags),
    }
}

fn ours(flags: &SideFlags) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build().context("starting the runtime")?;
    let bounds = defaults::kafka(&flags.prefix)?;
    let opened = runtime.block_on(KafkaLog::open(&flags.how.kafka, bounds, Clock::System));
    let log = opened.context("opening the booking log")?;
    let samples: Arc<[Message]> = messages()?.into();
    let made = making(&samples)?;
    obey(made, |length| append_for(&runtime, &log, &samples, flags, length))
}

/// What it costs this benchmark to make a message, which is not appending's to pay. Letting go of
/// it is: whoever appends does that too.
fn making(samples: &[Message]) -> anyhow::Result<Duration> {
    let mut all = Duration::ZERO;
    for _ in 0..MADE {
        let start = Instant::now();
        let made = std::hint::black_box(samples.to_vec());
        all += start.elapsed();
        drop(made);
    }
    Ok(all / (MADE * u32::try_from(samples.len())?))
}

fn append_for(
    runtime: &Runtime,
    log: &KafkaLog,
    samples: &Arc<[Message]>,
    flags: &SideFlags,
    length: Duration,
) -> anyhow::Result<u64> {
    let batch = flags.how.append as usize;
    let callers = (flags.how.inflight as usize / batch).max(1);
    runtime.block_on(async {
        let until = Instant::now() + length;
        let mut lanes = JoinSet::new();
        for caller in 0..callers {
            let (log, samples) = (log.clone(), samples.clone());
            lanes.spawn(async move {
                let (mut at, mut count) = (caller, 0);
                while Instant::now() < until {
                    let next = (at..at + batch).map(|at| samples[at % samples.len()].clone());
                    log.append(next.collect()).await?;
                    (at, count) = (at + batch, count + batch as u64);
                }
                anyhow::Ok(count)
            });
        }
        let mut count = 0;
        while let Some(lane) = lanes.join_next().await {
            count += lane.context("a caller's task ended badly")??;
        }
        Ok(count)
    })
}

fn bare(flags: &SideFlags) -> anyhow::Result<()> {
    let producer = bare_producer(&flags.how.kafka)?;
    let records = messages()?.iter().map(ready).collect::<Vec<_>>();
    let topic = topic(&flags.prefix);
    let inflight_max = u64::from(flags.how.inflight);
    let mut sent = 0_u64;
    obey(Duration::ZERO, |length| {
        let (from, until) = (sent, Instant::now() + length);
        while Instant::now() < until {
            if sent - producer.context().done() >= inflight_max {
                producer.poll(Duration::from_millis(5));
                continue;
            }
            let record = &records[(sent % records.len() as u64) as usize];
            match producer.send(record.record(&topic)) {
                Ok(()) => sent += 1,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error).context("sending a record"),
            }
            if sent.is_multiple_of(POLL_EVERY) {
                producer.poll(Duration::ZERO);
            }
        }
        producer.flush(DELIVERED_WITHIN).context("waiting for the last deliveries")?;
        let failed = producer.context().failed.load(Ordering::Relaxed);
        if failed > 0 {
            bail!("{failed} messages were not delivered");
        }
        Ok(sent - from)
    })
}

/// The settings of `ledger_kafka`.
fn bare_producer(broker: &str) -> anyhow::Result<BaseProducer<Deliveries>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "262144")
        .set("partitioner", "murmur2_random");
    config.create_with_context(Deliveries::default()).context("starting a bare producer")
}

fn ready(message: &Message) -> Ready {
    let id = format!("{}.place", message.key());
    let time = Clock::System.now().rfc3339();
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", "/tidegate"),
        ("ce_type", message.type_name()),
        ("ce_time", &time),
        ("ce_subject", message.key()),
        ("content-type", "application/json"),
    ];
    let headers =
        headers.iter().fold(OwnedHeaders::new_with_capacity(7), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
    Ready { key: message.key().to_owned(), payload: message.encode(), headers }
}

fn obey(
    made: Duration,
    mut append: impl FnMut(Duration) -> anyhow::Result<u64>,
) -> anyhow::Result<()> {
    say(&format!("{READY}\n"))?;
    for line in std::io::stdin().lines() {
        let line = line.context("hearing what to do")?;
        let millis = line.parse().with_context(|| format!("{line:?} is no time"))?;
        let count = append(Duration::from_millis(millis))?;
        say(&format!("{count} {}\n", made.as_nanos()))?;
    }
    Ok(())
}

impl Ready {
    fn record<'a>(&'a self, topic: &'a str) -> BaseRecord<'a, str, [u8]> {
        let record = BaseRecord::to(topic).key(self.key.as_str()).payload(self.payload.as_slice());
        record.headers(self.headers.clone())
    }
}

impl Deliveries {
    fn done(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() { &self.delivered } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
