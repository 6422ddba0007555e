//! Taking a test's topics away.
use super::{Client, KafkaBounds, LogContext, Names};
use ledger::Clock;
use rdkafka::admin::{AdminClient, AdminOptions};
use std::sync::Arc;
use std::time::Duration;

/// Removes the topics whose names begin with `prefix`.
///
/// # Panics
/// When the brokers do not do it.
pub async fn remove_topics(brokers: &str, prefix: &str, clock: Clock) {
    let (names, bounds) = (Names::new(prefix), Arc::new(KafkaBounds::default()));
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
