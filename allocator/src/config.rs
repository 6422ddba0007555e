//! The allocator's bounds.
use ledger::RecoveryBounds;
use serde::{Deserialize, Serialize};

/// Every bound of the allocator. Defaults live in `tidegate.default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The most seats one lock may ask for.
    pub seats_per_lock_max: u32,
    /// How often the hold sweeper looks, in milliseconds.
    pub sweep_interval_ms: u64,
    /// How long after one search for holds that other nodes left the next begins, in milliseconds.
    pub search_interval_ms: u64,
    /// The most holds one sweep frees before it looks again.
    pub sweep_batch_max: usize,
    /// How old the shown seat map may be, in milliseconds, at most 1000.
    pub seats_age_max_ms: u64,
    /// The fewest seconds a hold has left after a decline.
    pub declined_hold_seconds: u32,
    /// How long a request's idempotency key is kept, in seconds.
    pub key_seconds: u32,
    /// How long a recovery of an event's copy is waited for.
    pub recovery: RecoveryBounds,
}
