//! What this crate's tests share: small bounds.
use crate::Config;
use crate::gateway::{MIGRATIONS, SimulatedGateway, Simulation};
use ledger::Clock;
use ledger::sqlite::SqliteFile;
use std::path::Path;

/// Bounds small enough that tests meet them.
pub(crate) fn config() -> Config {
    Config {
        inflight_max: 8,
        batch_max: 4,
        window_batches_max: 3,
        settle_batch_max: 4,
        charge_timeout_ms: 5_000,
        retry_min_ms: 1,
        retry_max_ms: 4,
        drain_timeout_ms: 5_000,
        gateway_key_window_seconds: 86_400,
        gateway_connections_max: 16,
        gateway_connect_timeout_ms: 1_000,
        reconcile_interval_ms: 1,
        reconcile_batch_max: 8,
        resolve_interval_seconds: 15,
        outbox_age_min_ms: 0,
        publish_batch_max: 16,
    }
}

/// A simulated gateway in a folder of its own, which lives as long as the second value.
pub(crate) async fn gateway(simulation: Simulation) -> (SimulatedGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (gateway_at(&folder.path().join("gateway.db"), simulation, Clock::System).await, folder)
}

/// A simulated gateway with its log at `path`.
pub(crate) async fn gateway_at(
    path: &Path,
    simulation: Simulation,
    clock: Clock,
) -> SimulatedGateway {
    let file = SqliteFile::open(path, &MIGRATIONS).await.expect("a gateway log");
    SimulatedGateway::new(simulation, file, clock)
}
