//! The seats on a real Redis and a real cluster: the contract, and what only this backend shows.
mod histories;
mod losses;
mod nodes;

use super::RedisSeatStore;
use allocator::conformance;
use redis_client::testing::{BOUNDS, cluster, single};
use redis_client::{Redis, cmd};
use std::sync::Arc;

async fn store_at(url: &str) -> Arc<RedisSeatStore> {
    let redis = Redis::open(url, BOUNDS).await.unwrap_or_else(|error| {
        panic!(
            "these tests need Redis at {url}: start it with `ops/dev/up redis`, or name another \
             in TIDEGATE_TEST_REDIS or TIDEGATE_TEST_REDIS_CLUSTER ({error})"
        )
    });
    Arc::new(RedisSeatStore::on_given_time(redis))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let store = store_at(&single()).await;
    conformance::all(store.clone()).await;
    forget_all(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_on_a_cluster() {
    let store = store_at(&cluster()).await;
    conformance::all(store.clone()).await;
    forget_all(&store).await;
}

/// Takes the keys of every event away that the store knows.
async fn forget_all(store: &RedisSeatStore) {
    let events: Vec<_> = store.events.write().unwrap().drain().collect();
    for (_, known) in events {
        let mut command = cmd("UNLINK");
        for key in &known.keys {
            command.arg(key);
        }
        store.redis.call("testing", &command).await.unwrap();
    }
}
