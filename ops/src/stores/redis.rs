//! Queues and seats on Redis.
use super::opener::{NOTHING, Opener};
use super::watch::Probe;
use crate::config::Address;
use allocator::SeatStore;
use allocator_redis::RedisSeatStore;
use anyhow::Context;
use ledger::{Clock, IdSource, QueueId};
use redis_client::{Redis, cmd};
use std::sync::Arc;
use waiting_room::{CopyRef, QueueStore};
use waiting_room_redis::RedisQueueStore;

impl Opener {
    pub(super) async fn redis_queue(
        &mut self,
        address: &Address,
        ids: &IdSource,
    ) -> anyhow::Result<Arc<dyn QueueStore>> {
        let opened = RedisQueueStore::open(address.as_str(), self.bounds.redis.bounds(), ids).await;
        let queue = opened.with_context(|| format!("stores.queue at {}", address.shown()))?;
        let (asked, nothing) = (queue.clone(), QueueId::parse(NOTHING)?);
        self.probes.push(Probe::new("queue", move || {
            let (queue, nothing) = (asked.clone(), nothing.clone());
            async move {
                let copy = CopyRef { queue: &nothing, generation: 0, now: Clock::System.now() };
                // There is no such queue; that the answer comes is what counts.
                queue.look(copy, None).await.map(drop)
            }
        }));
        Ok(Arc::new(queue))
    }

    pub(super) async fn redis_seats(
        &mut self,
        address: &Address,
    ) -> anyhow::Result<Arc<dyn SeatStore>> {
        let opened = Redis::open(address.as_str(), self.bounds.redis.bounds()).await;
        let redis = opened.with_context(|| format!("stores.seats at {}", address.shown()))?;
        let asked = redis.clone();
        self.probes.push(Probe::new("seats", move || {
            let redis = asked.clone();
            async move { redis.call("asking Redis whether it is there", &cmd("PING")).await.map(drop) }
        }));
        Ok(Arc::new(RedisSeatStore::on(redis)))
    }
}
