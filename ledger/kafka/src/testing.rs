//! Taking a test's topics away.
use super::{Client, KafkaBounds, LogContext, Names};
use ledger::Clock;
use rdkafka::admin::{AdminClient, AdminOptions};
use std::sync::Arc;
use std::time::Duration;

/// Bounds for tests: what an operator gets is in `tidegate.default.toml`.
pub fn bounds() -> KafkaBounds {
    KafkaBounds {
        name_prefix: String::new(),
        bookings_partitions: 1,
        outcomes_partitions: 1,
        dead_partitions: 1,
        replication: 1,
        insync_replicas_min: 1,
        retention: Duration::from_secs(24 * 60 * 60),
        dead_retention: Duration::from_secs(24 * 60 * 60),
        message_bytes_max: 1_000_000,
        linger: Duration::from_millis(5),
        delivery_timeout: Duration::from_secs(10),
        inflight_max: 100_000,
        inflight_bytes_max: 256 << 20,
        stalled_after: Duration::from_secs(2),
        session_timeout: Duration::from_secs(10),
        poll_interval_max: Duration::from_secs(60),
        prefetch_messages: 10_000,
        prefetch_bytes: 16 << 20,
        request_timeout: Duration::from_secs(10),
        properties: Vec::new(),
    }
}

/// Removes the topics whose names begin with `prefix`.
///
/// # Panics
/// When the brokers do not do it.
pub async fn remove_topics(brokers: &str, prefix: &str, clock: Clock) {
    let (names, bounds) = (Names::new(prefix), Arc::new(bounds()));
    let client = Client { brokers: brokers.into(), names, bounds, clock };
    client.remove_topics().await;
}

impl Client {
    /// # Panics
    /// When the brokers do not do it.
    pub(super) async fn remove_topics(&self) {
        let admin: AdminClient<LogContext> =
            self.config().create_with_context(LogContext).expect("an admin client");
        let names: Vec<&str> = self.topic_names().map(|(_, name)| name).collect();
        let timeout = Some(Duration::from_secs(10));
        let options = AdminOptions::new().operation_timeout(timeout).request_timeout(timeout);
        admin.delete_topics(&names, &options).await.expect("the topics are removed");
    }
}

/// Names another broker than the one that `ops/dev/up kafka` starts.
pub const KAFKA_VARIABLE: &str = "TIDEGATE_TEST_KAFKA";

/// Where the tests' broker is.
#[expect(clippy::disallowed_methods, reason = "where the tests' servers are")]
pub fn kafka_server() -> String {
    std::env::var(KAFKA_VARIABLE).unwrap_or_else(|_| "127.0.0.1:19092".to_owned())
}
