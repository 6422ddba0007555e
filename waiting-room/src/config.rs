//! The waiting room's bounds.
use serde::{Deserialize, Serialize};

/// Every bound of the waiting room. Defaults live in `tidegate.default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How long a join waits for others to share its reservation, in milliseconds.
    pub join_combine_ms: u64,
    /// The most joins that share one reservation.
    pub join_combine_max: usize,
    /// Joins that may wait for their reservation; more are refused with 503.
    pub join_queue_max: usize,
    /// Numbers leased ahead of the joins, in seconds of the recent join rate.
    pub lease_ahead_seconds: u32,
    /// The fewest numbers one lease takes.
    pub lease_min: u64,
    /// How often the pacer looks, in milliseconds.
    pub pacer_interval_ms: u64,
    /// The `iss` claim of passes.
    pub issuer: String,
    /// Clock difference that passes tolerate, in seconds, at most 5.
    pub leeway_seconds: u32,
    /// Poll intervals by distance from the head: `[ahead at most, milliseconds]`, nearest first;
    /// `null` is everyone farther away.
    pub poll: Vec<(Option<u64>, u64)>,
    /// What everyone waiting is told; empty for nothing.
    pub message: String,
}
