//! The queue store on real Redis: the contract, and what happens when the server fails.
mod faults;
mod histories;
mod nodes;
mod private;

use super::*;
use ledger::Clock;
use redis_client::testing::{ADDRESS_VARIABLE, BOUNDS, CLUSTER_VARIABLE, cluster, single};
use waiting_room::conformance::{Bench, suite};

async fn open(url: &str) -> RedisQueueStore {
    on(url, ScriptClock::Server).await
}

async fn on(url: &str, clock: ScriptClock) -> RedisQueueStore {
    let opened = RedisQueueStore::on(url, BOUNDS, &IdSource::system(), clock).await;
    opened.unwrap_or_else(|error| {
        panic!(
            "no Redis at {url} ({ADDRESS_VARIABLE} or {CLUSTER_VARIABLE}, started by \
             `ops/dev/up redis`): {error}: {}",
            std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
        )
    })
}

/// A queue that nobody else knows.
fn fresh_queue() -> QueueId {
    let id = IdSource::system().event(Clock::System.now());
    QueueId::parse(&format!("test-{id}")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_redis_keeps_the_contract() {
    let store = Arc::new(open(&single()).await);
    suite(|| async { Bench { store: store.clone(), clock: Clock::System, queue: fresh_queue() } })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_the_contract() {
    let store = Arc::new(open(&cluster()).await);
    suite(|| async { Bench { store: store.clone(), clock: Clock::System, queue: fresh_queue() } })
        .await;
}
