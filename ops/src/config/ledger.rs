//! The bounds of the ledger and of the servers that keep it.
use ledger::ConsumerConfig;
use serde::Deserialize;
use serde::de::Error as _;
use std::fmt;
#[cfg(any(feature = "kafka", feature = "scylla"))]
use std::time::Duration;

#[cfg(feature = "kafka")]
const HOUR_SECONDS: u64 = 60 * 60;
#[cfg(feature = "scylla")]
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The ledger's bounds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerBounds {
    /// How long the answers to keyed requests are kept.
    pub request_seconds: u32,
    /// How often every server is asked whether it answers, and how long it may take.
    pub watch_interval_ms: u64,
    pub watch_timeout_ms: u64,
    /// Of every loop that reads the booking log.
    pub consumer: ConsumerConfig,
    pub postgres: PostgresSettings,
    pub kafka: KafkaSettings,
    pub scylla: ScyllaSettings,
    pub redis: RedisSettings,
}

/// What `tidegate.default.toml` says of Postgres; the keys explain themselves there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    pub connections_max: u32,
    pub acquire_timeout_ms: u64,
    pub lock_timeout_ms: u64,
    pub statement_timeout_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    pub name_prefix: String,
    pub bookings_partitions: u16,
    pub outcomes_partitions: u16,
    pub dead_partitions: u16,
    pub replication: u16,
    pub insync_replicas_min: u16,
    pub retention_hours: u64,
    pub dead_retention_hours: u64,
    pub message_bytes_max: u32,
    pub linger_ms: u64,
    pub delivery_timeout_ms: u64,
    pub inflight_max: u32,
    pub inflight_bytes_max: u32,
    pub stalled_after_ms: u64,
    pub session_timeout_ms: u64,
    pub poll_interval_max_ms: u64,
    pub prefetch_messages: u32,
    pub prefetch_bytes: u32,
    pub request_timeout_ms: u64,
    pub properties: Vec<Property>,
}

/// `name=value`. The value may be a password, and so never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScyllaSettings {
    pub replication: u16,
    pub consistency: Consistency,
    pub ttl_days: u64,
    pub writes_inflight_max: usize,
    pub request_timeout_ms: u64,
    pub connect_timeout_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    pub connect_timeout_ms: u64,
    pub response_timeout_ms: u64,
    pub inflight_max: usize,
}

/// How many copies must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    One,
    LocalQuorum,
    Quorum,
}

#[cfg(feature = "postgres")]
impl PostgresSettings {
    pub fn bounds(&self) -> ledger_postgres::PgBounds {
        ledger_postgres::PgBounds {
            connections_max: self.connections_max,
            acquire_timeout_ms: self.acquire_timeout_ms,
            lock_timeout_ms: self.lock_timeout_ms,
            statement_timeout_ms: self.statement_timeout_ms,
        }
    }
}

#[cfg(feature = "kafka")]
impl KafkaSettings {
    pub fn bounds(&self) -> ledger_kafka::KafkaBounds {
        let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(HOUR_SECONDS));
        ledger_kafka::KafkaBounds {
            name_prefix: self.name_prefix.clone(),
            bookings_partitions: self.bookings_partitions,
            outcomes_partitions: self.outcomes_partitions,
            dead_partitions: self.dead_partitions,
            replication: self.replication,
            insync_replicas_min: self.insync_replicas_min,
            retention: hours(self.retention_hours),
            dead_retention: hours(self.dead_retention_hours),
            message_bytes_max: self.message_bytes_max,
            linger: Duration::from_millis(self.linger_ms),
            delivery_timeout: Duration::from_millis(self.delivery_timeout_ms),
            inflight_max: self.inflight_max,
            inflight_bytes_max: self.inflight_bytes_max,
            stalled_after: Duration::from_millis(self.stalled_after_ms),
            session_timeout: Duration::from_millis(self.session_timeout_ms),
            poll_interval_max: Duration::from_millis(self.poll_interval_max_ms),
            prefetch_messages: self.prefetch_messages,
            prefetch_bytes: self.prefetch_bytes,
            request_timeout: Duration::from_millis(self.request_timeout_ms),
            properties: self.properties.iter().cloned().map(|p| (p.name, p.value)).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let (name, value) = text.split_once('=').ok_or_else(|| {
            D::Error::custom("a property of librdkafka is written \"name=value\"")
        })?;
        Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=…", self.name)
    }
}

#[cfg(feature = "scylla")]
impl ScyllaSettings {
    pub fn bounds(&self) -> ledger_scylla::ScyllaBounds {
        ledger_scylla::ScyllaBounds {
            replication: self.replication,
            consistency: self.consistency.into(),
            ttl: Duration::from_secs(self.ttl_days.saturating_mul(DAY_SECONDS)),
            writes_inflight_max: self.writes_inflight_max,
            request_timeout: Duration::from_millis(self.request_timeout_ms),
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
        }
    }
}

#[cfg(feature = "redis")]
impl RedisSettings {
    pub fn bounds(&self) -> redis_client::RedisBounds {
        redis_client::RedisBounds {
            connect_timeout_ms: self.connect_timeout_ms,
            response_timeout_ms: self.response_timeout_ms,
            inflight_max: self.inflight_max,
        }
    }
}

#[cfg(feature = "scylla")]
impl From<Consistency> for ledger_scylla::ViewConsistency {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::One => Self::One,
            Consistency::LocalQuorum => Self::LocalQuorum,
            Consistency::Quorum => Self::Quorum,
        }
    }
}
