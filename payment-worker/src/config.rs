//! The payment worker's bounds.
use serde::{Deserialize, Serialize};

/// Every bound of the payment worker. Defaults live in `tidegate.default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Charges that one worker has at the gateway at once.
    pub inflight_max: usize,
    /// The most commands one batch takes: one transaction opens them.
    pub batch_max: usize,
    /// How many full batches' messages (so many times `batch_max`) may be read whose offsets are
    /// not committed yet, in however many batches they came.
    pub window_batches_max: usize,
    /// The most answers one transaction settles.
    pub settle_batch_max: usize,
    /// How long a charge, refund or look-up may take, in milliseconds; then its answer is unknown.
    pub charge_timeout_ms: u64,
    /// How long the batches in hand may take once the worker stops, in milliseconds.
    pub drain_timeout_ms: u64,
    /// For how long the gateway remembers a key, in seconds, counted from the committed attempt.
    /// Later the worker only looks up.
    pub gateway_key_window_seconds: u32,
    /// Connections to the gateway at once, where it is reached over HTTP.
    pub gateway_connections_max: usize,
    /// How long a connection to the gateway may take, in milliseconds.
    pub gateway_connect_timeout_ms: u64,
    /// How often the reconciler looks for work, in milliseconds.
    pub reconcile_interval_ms: u64,
    /// The most charges and refunds the reconciler takes up at once.
    pub reconcile_batch_max: u32,
    /// How long after the reconciler asked for one charge or refund it asks again, in seconds.
    pub resolve_interval_seconds: u32,
    /// How old an unpublished outcome is before the reconciler publishes it, in milliseconds:
    /// younger ones are on their way.
    pub outbox_age_min_ms: u64,
    /// The most outcomes published at once.
    pub publish_batch_max: usize,
}

/// Bounds that cannot work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("payment_worker.{name} {reason}")]
pub struct InvalidConfig {
    pub name: &'static str,
    pub reason: &'static str,
}

impl Config {
    /// Checks each bound and how they relate.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let check = |holds: bool, name, reason| {
            if holds { Ok(()) } else { Err(InvalidConfig { name, reason }) }
        };
        for (name, value) in [
            ("inflight_max", self.inflight_max),
            ("batch_max", self.batch_max),
            ("window_batches_max", self.window_batches_max),
            ("settle_batch_max", self.settle_batch_max),
            ("publish_batch_max", self.publish_batch_max),
            ("reconcile_batch_max", self.reconcile_batch_max as usize),
        ] {
            check((1..=65_536).contains(&value), name, "must be from 1 to 65536")?;
        }
        for (name, value) in [
            ("charge_timeout_ms", self.charge_timeout_ms),
            ("reconcile_interval_ms", self.reconcile_interval_ms),
            ("gateway_connect_timeout_ms", self.gateway_connect_timeout_ms),
        ] {
            check(value >= 1, name, "must be at least 1")?;
        }
        let lease_ms = u64::from(self.resolve_interval_seconds) * 1_000;
        check(lease_ms <= 15_000, "resolve_interval_seconds", "must be at most 15")?;
        // Else another node takes the work up while this one still waits for the gateway.
        let outlives = self.charge_timeout_ms < lease_ms;
        check(outlives, "charge_timeout_ms", "must be below resolve_interval_seconds")?;
        let remembers = u64::from(self.gateway_key_window_seconds) * 1_000 > lease_ms;
        check(remembers, "gateway_key_window_seconds", "must be above resolve_interval_seconds")?;
        let connections = self.gateway_connections_max;
        let enough = connections >= self.inflight_max && connections <= 65_536;
        check(enough, "gateway_connections_max", "must be from inflight_max to 65536")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::config;

    #[test]
    fn bounds_are_checked_one_by_one_and_together() {
        let check = |change: fn(&mut Config), expected: Option<&str>| {
            let mut config = config();
            change(&mut config);
            assert_eq!(config.validate().err().map(|e| e.name), expected, "{config:?}");
        };
        check(|_| {}, None);
        check(|c| c.inflight_max = 0, Some("inflight_max"));
        check(|c| c.batch_max = 65_537, Some("batch_max"));
        check(|c| c.window_batches_max = 0, Some("window_batches_max"));
        check(|c| c.resolve_interval_seconds = 16, Some("resolve_interval_seconds"));
        check(|c| c.charge_timeout_ms = 15_000, Some("charge_timeout_ms"));
        check(|c| c.gateway_key_window_seconds = 15, Some("gateway_key_window_seconds"));
        check(|c| c.gateway_connections_max = 1, Some("gateway_connections_max"));
    }
}
