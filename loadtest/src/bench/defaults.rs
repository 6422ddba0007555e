//! The program's own defaults, read where they are said: `ops/tidegate.default.toml`.
use anyhow::Context;
use ledger_kafka::KafkaBounds;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use toml::Table;

const DEFAULTS: &str = include_str!("../../../ops/tidegate.default.toml");

/// A stage's bounds.
pub(super) fn of_stage<Config: DeserializeOwned>(stage: &str) -> anyhow::Result<Config> {
    let mut table: Table = DEFAULTS.parse().context("reading the defaults")?;
    let section = table.remove(stage).with_context(|| format!("there is no [{stage}]"))?;
    section.try_into().with_context(|| format!("reading [{stage}]"))
}

/// The bounds of the booking log on Kafka.
pub(super) fn kafka(name_prefix: &str) -> anyhow::Result<KafkaBounds> {
    let mut ledger: Table = of_stage("ledger")?;
    let kafka = ledger.remove("kafka").context("there is no [ledger.kafka]")?;
    let kafka: Kafka = kafka.try_into().context("reading [ledger.kafka]")?;
    let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(60 * 60));
    Ok(KafkaBounds {
        name_prefix: name_prefix.to_owned(),
        bookings_partitions: kafka.bookings_partitions,
        outcomes_partitions: kafka.outcomes_partitions,
        dead_partitions: kafka.dead_partitions,
        replication: kafka.replication,
        insync_replicas_min: kafka.insync_replicas_min,
        retention: hours(kafka.retention_hours),
        dead_retention: hours(kafka.dead_retention_hours),
        message_bytes_max: kafka.message_bytes_max,
        linger: Duration::from_millis(kafka.linger_ms),
        delivery_timeout: Duration::from_millis(kafka.delivery_timeout_ms),
        inflight_max: kafka.inflight_max,
        inflight_bytes_max: kafka.inflight_bytes_max,
        stalled_after: Duration::from_millis(kafka.stalled_after_ms),
        session_timeout: Duration::from_millis(kafka.session_timeout_ms),
        poll_interval_max: Duration::from_millis(kafka.poll_interval_max_ms),
        prefetch_messages: kafka.prefetch_messages,
        prefetch_bytes: kafka.prefetch_bytes,
        request_timeout: Duration::from_millis(kafka.request_timeout_ms),
        properties: Vec::new(),
    })
}

/// `[ledger.kafka]` as far as the benchmark needs it.
#[derive(Deserialize)]
struct Kafka {
    bookings_partitions: u16,
    outcomes_partitions: u16,
    dead_partitions: u16,
    replication: u16,
    insync_replicas_min: u16,
    retention_hours: u64,
    dead_retention_hours: u64,
    message_bytes_max: u32,
    linger_ms: u64,
    delivery_timeout_ms: u64,
    inflight_max: u32,
    inflight_bytes_max: u32,
    stalled_after_ms: u64,
    session_timeout_ms: u64,
    poll_interval_max_ms: u64,
    prefetch_messages: u32,
    prefetch_bytes: u32,
    request_timeout_ms: u64,
}
