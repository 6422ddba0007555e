//! Holding seats in Redis beside redis-benchmark of the same script, and ending holds on time.
mod expiry;
mod fixture;
mod redis_benchmark;

use super::rounds::{Part, Ratios, Round, describe};
use super::{Flags, Measurement, Row, cpu};
use anyhow::{Context, bail};
use clap::Args;
use fixture::{Fixture, Sale};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const REDIS: Row = Row {
    stage: "hold, by CPU-second of Redis",
    against: "redis-benchmark -P of the same script and keys, holds/redis-cpu-s",
    floor: 0.90,
    goal: 0.97,
    stretch: 1.0,
};
const WALL: Row = Row {
    stage: "hold, wall rate through the allocator",
    against: "redis-benchmark -P of the same script and keys, holds/s",
    floor: 0.5,
    goal: 0.7,
    stretch: 0.85,
};

/// Seats of a hold: most people do not come alone.
const SEATS: u32 = 2;
/// Holds in one event before the next one is used, so that there are always seats left.
const HOLDS_AN_EVENT: u64 = 80_000;

#[derive(Debug, Args)]
pub(crate) struct HoldFlags {
    /// hold: requests on their way at once, on either side.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=8_192))]
    holds_inflight: u64,
    /// hold: requests that redis-benchmark sends in one go; the rest of them is connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    pipeline: u64,
    /// hold: holds that are due within one second.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    due: u32,
}

/// Redis's time and the wall's for so many holds.
#[derive(Clone, Copy)]
struct Spent {
    holds: u64,
    wall: Duration,
    redis: Duration,
    own: Duration,
}

pub(super) async fn hold(flags: &Flags) -> anyhow::Result<Vec<Measurement>> {
    let fixture = Fixture::open().await?;
    let length = Duration::from_secs(flags.seconds);
    ours(&fixture, flags, Duration::from_secs(1)).await?;
    bare(&fixture, flags, Duration::from_secs(1)).await?;
    let (mut by_redis, mut by_wall) = (Vec::new(), Vec::new());
    for _ in 0..flags.rounds {
        let first = bare(&fixture, flags, length).await?;
        let pair = [ours(&fixture, flags, length).await?, ours(&fixture, flags, length).await?];
        let last = bare(&fixture, flags, length).await?;
        let round =
            |part: fn(Spent) -> Part| Round { bare: [first, last].map(part), ours: pair.map(part) };
        by_redis.push(round(Spent::of_redis));
        by_wall.push(round(Spent::of_wall));
    }
    let (inflight, pipeline) = (flags.hold.holds_inflight, flags.hold.pipeline);
    let notes = vec![
        describe("redis-benchmark", by_redis.iter().flat_map(|round| round.bare)),
        describe("ours", by_redis.iter().flat_map(|round| round.ours)),
        format!(
            "{} rounds of 4 × {} s and more; {inflight} requests on their way, redis-benchmark \
             -P {pipeline}; the best {SEATS} seats of a hall of {}, an account each; a Redis of \
             its own; generator: all clients on one thread (ours), redis-benchmark not counted",
            flags.rounds,
            flags.seconds,
            fixture::PLACES
        ),
        "durability: none, as designed (save \"\", appendonly no): what Redis loses is rebuilt"
            .to_owned(),
    ];
    let measured = |row, rounds: &[Round], notes| Measurement {
        row,
        ratios: Ratios::of(rounds),
        notes,
        breaches: vec![],
    };
    drop(fixture);
    let expiry = expiry::expiry(flags).await?;
    Ok(vec![measured(REDIS, &by_redis, notes), measured(WALL, &by_wall, vec![]), expiry])
}

/// Holds through the allocator, as the ingress asks for them.
async fn ours(fixture: &Fixture, flags: &Flags, length: Duration) -> anyhow::Result<Spent> {
    repeat(fixture, length, |sale| async {
        let sale = Arc::new(sale);
        let left = Arc::new(AtomicU64::new(HOLDS_AN_EVENT));
        let mut lanes = JoinSet::new();
        for _ in 0..flags.hold.holds_inflight {
            let (sale, left) = (sale.clone(), left.clone());
            lanes.spawn(async move {
                let take = |left: u64| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    sale.hold(SEATS).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane.context("a caller's task ended badly")??;
        }
        Ok(())
    })
    .await
}

/// The same script on the same keys, by redis-benchmark.
async fn bare(fixture: &Fixture, flags: &Flags, length: Duration) -> anyhow::Result<Spent> {
    let clients = (flags.hold.holds_inflight / flags.hold.pipeline).max(1);
    repeat(fixture, length, |sale| async move {
        let call = sale.lock_call(SEATS);
        sale.try_call(&call).await?;
        let how = (clients, flags.hold.pipeline);
        redis_benchmark::run(fixture.port(), &call, HOLDS_AN_EVENT, how).await
    })
    .await
}

/// Sells one event after the other until the time spent on it is enough.
async fn repeat<F>(
    fixture: &Fixture,
    length: Duration,
    sell: impl Fn(Sale) -> F,
) -> anyhow::Result<Spent>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut all =
        Spent { holds: 0, wall: Duration::ZERO, redis: Duration::ZERO, own: Duration::ZERO };
    while all.wall < length {
        let sale = fixture.sale().await?;
        let before = (cpu::used(fixture.pid()?)?, cpu::used(std::process::id())?);
        let started = Instant::now();
        sell(sale.clone()).await?;
        all.wall += started.elapsed();
        all.redis += cpu::used(fixture.pid()?)?.saturating_sub(before.0);
        all.own += cpu::used(std::process::id())?.saturating_sub(before.1);
        let holds = sale.holds().await?;
        // redis-benchmark draws an id twice now and then, which makes no second hold.
        if holds < HOLDS_AN_EVENT - HOLDS_AN_EVENT / 1_000 {
            bail!("{holds} holds were made instead of {HOLDS_AN_EVENT}");
        }
        all.holds += holds;
        sale.remove().await?;
    }
    Ok(all)
}

impl Spent {
    fn of_redis(self) -> Part {
        Part { requests: self.holds, wall: self.wall, cpu: self.redis, own: self.own }
    }

    /// A part whose "processor time" is the wall's.
    fn of_wall(self) -> Part {
        Part { requests: self.holds, wall: self.wall, cpu: self.wall, own: self.own }
    }
}
