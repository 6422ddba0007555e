//! The booking log on Kafka.
use super::opener::Opener;
use super::watch::Probe;
use anyhow::Context;
use ledger::{BookingLog, Clock};
use ledger_kafka::KafkaLog;
use std::sync::Arc;

impl Opener {
    pub(super) async fn kafka_log(&mut self, brokers: &str) -> anyhow::Result<Arc<dyn BookingLog>> {
        let log = KafkaLog::open(brokers, self.bounds.kafka.bounds(), Clock::System).await;
        let log = log.with_context(|| format!("stores.bookings at kafka://{brokers}"))?;
        self.log = Some(log.clone());
        let asked = log.clone();
        self.probes.push(Probe::new("bookings", move || {
            let log = asked.clone();
            async move { log.ping().await }
        }));
        Ok(Arc::new(log))
    }
}
