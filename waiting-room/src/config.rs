//! The waiting room's bounds.
use ledger::RecoveryBounds;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// How often the settings of all queues are read, which another node may have changed, in
    /// milliseconds.
    pub list_interval_ms: u64,
    /// How long the pacer leaves a queue alone whose step could not be committed, in milliseconds.
    pub step_retry_ms: u64,
    /// Settings that a node announced and has not recorded for so long never will be, in
    /// milliseconds: that node is gone. Longer than any commit takes.
    pub settings_recorded_within_ms: u64,
    /// How long a call waits while this node opens other queues for the first time, in
    /// milliseconds.
    pub opening_wait_ms: u64,
    /// How long a recovery of a queue's copy is waited for.
    pub recovery: RecoveryBounds,
    /// How often a node looks at a queue that somebody watches, in milliseconds: how late its
    /// `now_serving` may be on a node that did not move it, but for the store's answer.
    pub board_interval_ms: u64,
    /// How often a node looks at a queue that nobody watches, in milliseconds.
    pub board_idle_ms: u64,
    /// The `iss` claim of passes.
    pub issuer: String,
    /// Clock difference that passes tolerate, in seconds, at most 5.
    pub leeway_seconds: u32,
    /// Poll intervals by distance from the head, nearest first: `[ahead at most, milliseconds]`,
    /// and last `[milliseconds]` for everyone farther away.
    #[serde(deserialize_with = "poll_rows")]
    pub poll: Vec<(Option<u64>, u64)>,
    /// What everyone waiting is told; empty for nothing.
    pub message: String,
}

/// TOML has no null, so the last row leaves the distance out.
fn poll_rows<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Option<u64>, u64)>, D::Error> {
    let rows: Vec<Vec<u64>> = Vec::deserialize(from)?;
    let last = rows.len().saturating_sub(1);
    let row = |(at, row): (usize, &Vec<u64>)| match row[..] {
        [most, millis] if at < last => Ok((Some(most), millis)),
        [millis] if at == last => Ok((None, millis)),
        _ => Err(serde::de::Error::custom(
            "poll: each row is [ahead at most, milliseconds], the last one [milliseconds]",
        )),
    };
    rows.iter().enumerate().map(row).collect()
}
