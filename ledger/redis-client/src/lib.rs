//! Redis, single or a cluster: bounded connections, and scripts that are loaded where they are
//! missing.
//!
//! What queues and seats share. A call that was sent and not answered is
//! [`StoreError::Unknown`]; one that surely changed nothing is [`StoreError::Unavailable`]. On a
//! cluster the client may send a call again by itself, so every script must be safe to repeat.
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod address;
mod fault;
mod policy;
mod script;
mod single;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use ::redis::{Cmd, Value, cmd};
pub use address::RedisFailure;
pub use script::Script;

use ::redis::aio::ConnectionLike;
use ::redis::cluster_async::ClusterConnection;
use ::redis::{RedisResult, cluster::ClusterClient};
use address::Address;
use fault::Fault;
use ledger::StoreError;
use single::Single;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How often the cluster's client follows a move or tries another node before it gives up.
const CLUSTER_TRIES_MAX: u32 = 3;
const CLUSTER_WAIT_MIN_MS: u64 = 20;
const CLUSTER_WAIT_MAX_MS: u64 = 200;

/// The bounds of a [`Redis`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisBounds {
    /// How long connecting to a server may take.
    pub connect_timeout_ms: u64,
    /// How long a server has for an answer; on a cluster, all tries of a call together.
    pub response_timeout_ms: u64,
    /// Calls under way at once over the one connection; more are refused.
    pub inflight_max: usize,
}

/// A Redis server or cluster. Clones share its connections.
#[derive(Clone)]
pub struct Redis {
    link: Link,
    inflight: Arc<Semaphore>,
}

#[derive(Clone)]
enum Link {
    Single(Arc<Single>),
    Cluster(ClusterConnection),
}

impl Redis {
    /// Connects to `redis://…`, or to `redis-cluster://HOST:PORT,HOST:PORT`. A server that may
    /// evict keys is refused: it would forget what was acknowledged.
    pub async fn open(url: &str, bounds: RedisBounds) -> Result<Self, RedisFailure> {
        let link = match Address::parse(url)? {
            Address::Single(info) => {
                let single = Single::new(info, bounds)?;
                single.connect().await.map_err(RedisFailure::connect)?;
                Link::Single(Arc::new(single))
            }
            Address::Cluster(nodes) => Link::Cluster(join_cluster(nodes, bounds).await?),
        };
        let inflight = Arc::new(Semaphore::new(bounds.inflight_max.min(Semaphore::MAX_PERMITS)));
        let redis = Self { link, inflight };
        redis.check_policy().await?;
        Ok(redis)
    }

    /// Runs a script by its hash; where the server does not know it, with its source.
    pub async fn run(
        &self,
        doing: &'static str,
        script: &Script,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> Result<Value, StoreError> {
        match self.send(&script.by_hash(keys, args)).await {
            Err(fault) if fault.is_no_script() => {
                self.send(&script.by_source(keys, args)).await.map_err(|fault| fault.said(doing))
            }
            answer => answer.map_err(|fault| fault.said(doing)),
        }
    }

    /// Sends one command; a cluster's client finds the node by its first key.
    pub async fn call(&self, doing: &'static str, command: &Cmd) -> Result<Value, StoreError> {
        self.send(command).await.map_err(|fault| fault.said(doing))
    }

    async fn send(&self, command: &Cmd) -> Result<Value, Fault> {
        let Ok(_one_of_them) = self.inflight.try_acquire() else { return Err(Fault::Crowded) };
        match &self.link {
            Link::Single(single) => single.send(command).await,
            Link::Cluster(cluster) => {
                let mut cluster = cluster.clone();
                let reply = Fault::sorted(cluster.req_packed_command(command).await);
                reply.map_err(Fault::after_other_tries)
            }
        }
    }
}

async fn join_cluster(
    nodes: Vec<String>,
    bounds: RedisBounds,
) -> Result<ClusterConnection, RedisFailure> {
    let client: RedisResult<ClusterClient> = ClusterClient::builder(nodes)
        .connection_timeout(Duration::from_millis(bounds.connect_timeout_ms))
        .response_timeout(Duration::from_millis(bounds.response_timeout_ms))
        .overall_response_timeout(Some(Duration::from_millis(bounds.response_timeout_ms)))
        .tcp_settings(address::at_once())
        .retries(CLUSTER_TRIES_MAX)
        .min_retry_wait(CLUSTER_WAIT_MIN_MS)
        .max_retry_wait(CLUSTER_WAIT_MAX_MS)
        .build();
    let client = client.map_err(|source| RedisFailure::Address { source })?;
    client.get_async_connection().await.map_err(|source| RedisFailure::Connect { source })
}
