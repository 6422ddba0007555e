//! Where the tests' Redis servers are, and how they are made to fail.
mod server;
mod wire;

pub use server::PrivateRedis;
pub use wire::{Loses, Wire};

use crate::RedisBounds;

/// Names the single server that tests use.
pub const ADDRESS_VARIABLE: &str = "TIDEGATE_TEST_REDIS";
/// Names the cluster that tests use.
pub const CLUSTER_VARIABLE: &str = "TIDEGATE_TEST_REDIS_CLUSTER";
const ADDRESS_DEFAULT: &str = "redis://127.0.0.1:16379";
const CLUSTER_DEFAULT: &str = "redis-cluster://127.0.0.1:17001,127.0.0.1:17002,127.0.0.1:17003";

/// Bounds that a busy test machine keeps to.
pub const BOUNDS: RedisBounds =
    RedisBounds { connect_timeout_ms: 5_000, response_timeout_ms: 10_000, inflight_max: 16_384 };

/// The single server, started by `ops/dev/up redis` unless [`ADDRESS_VARIABLE`] says otherwise.
pub fn single() -> String {
    variable(ADDRESS_VARIABLE, ADDRESS_DEFAULT)
}

/// The cluster, started by `ops/dev/up` unless [`CLUSTER_VARIABLE`] says otherwise.
pub fn cluster() -> String {
    variable(CLUSTER_VARIABLE, CLUSTER_DEFAULT)
}

/// The single server and the cluster.
pub fn both() -> [String; 2] {
    [single(), cluster()]
}

#[expect(clippy::disallowed_methods, reason = "where the tests' server is, is not configuration")]
fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
