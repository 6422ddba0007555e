//! The seats on a real Redis and a real cluster: the contract, and what only this backend shows.
use super::RedisSeatStore;
use crate::conformance;
use ledger::conformance::redis::{BOUNDS, cluster, single};
use ledger::redis::Redis;
use std::sync::Arc;

async fn asked(url: &str) -> Arc<RedisSeatStore> {
    let redis = Redis::open(url, BOUNDS).await.unwrap_or_else(|error| {
        panic!(
            "these tests need Redis at {url}: start it with `ops/dev/up redis`, or name another \
             in TIDEGATE_TEST_REDIS or TIDEGATE_TEST_REDIS_CLUSTER ({error})"
        )
    });
    Arc::new(RedisSeatStore::on_asked_time(redis))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    conformance::all(asked(&single()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_on_a_cluster() {
    conformance::all(asked(&cluster()).await).await;
}
