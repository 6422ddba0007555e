//! How each fault is brought about, and healed.
use super::Flags;
use super::kafka::Log;
use super::matrix::Fault;
use super::redis;
use super::rig::{Node, Rig};
use crate::people::Sale;
use anyhow::{Context, ensure};
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::sleep;

/// How long something stays away when nothing else is said.
const AWAY: Duration = Duration::from_secs(3);
/// Between two faults of one run.
const BREATH: Duration = Duration::from_secs(4);
const CUTTING: Duration = Duration::from_secs(10);
const REPEATING: Duration = Duration::from_secs(10);
const HANGING: Duration = Duration::from_secs(15);
const REBALANCE_EVERY: Duration = Duration::from_secs(5);
const REBALANCES: u64 = 4;

/// What was done; nothing done is a failure of the run.
pub(super) struct Injected {
    pub(super) count: u64,
    pub(super) what: String,
}

/// Breaks and heals; returns when all is as it was.
pub(super) async fn inject(
    fault: Fault,
    flags: &Flags,
    rig: &mut Rig<'_>,
    sale: &Sale,
) -> anyhow::Result<Injected> {
    match fault {
        Fault::WorkerKill => kill_workers(rig).await,
        Fault::IngressKill => kill_fronts(rig).await,
        Fault::KafkaRestart => restart(rig, "kafka").await,
        Fault::PostgresRestart => restart(rig, "postgres").await,
        Fault::PostgresCut => {
            let cutter = rig.cutter.as_ref().context("nothing stands before Postgres")?;
            let cuts = cutter.cut_for(CUTTING).await;
            Ok(Injected::new(cuts, "COMMITs cut"))
        }
        Fault::RedisRestart => restart_redis(rig, sale).await,
        Fault::RedisFlushall => flush_redis(rig, sale).await,
        Fault::RedisClusterFailover => fail_over(rig, sale).await,
        Fault::CassandraDown => {
            let away = Duration::from_secs(flags.cassandra_down_seconds);
            rig.stack.kill("cassandra").await?;
            sleep(away).await;
            rig.stack.up(&["cassandra"]).await?;
            Ok(Injected::new(1, format!("kill -9, {} s away", away.as_secs())))
        }
        Fault::Rebalance => rebalance(rig).await,
        Fault::Duplicates => {
            let log = Log::new(rig.stack.address("KAFKA_PORT")?, &rig.prefix);
            Ok(Injected::new(log.repeat_for(REPEATING).await?, "messages again"))
        }
        Fault::Poison => {
            let log = Log::new(rig.stack.address("KAFKA_PORT")?, &rig.prefix);
            Ok(Injected::new(log.poison().await?, "bad messages, all dead letters"))
        }
        Fault::GatewayHang => {
            rig.gateway.signal(Signal::STOP)?;
            sleep(HANGING).await;
            let open = rig.books.open_charges().await?;
            ensure!(open > 0, "no charge was on its way to the gateway that hung");
            rig.gateway.signal(Signal::CONT)?;
            let what = format!("stop of {} s, {open} charges on their way", HANGING.as_secs());
            Ok(Injected::new(1, what))
        }
    }
}

/// Each worker in turn; at least one must die while the gateway has its charges.
async fn kill_workers(rig: &mut Rig<'_>) -> anyhow::Result<Injected> {
    let mut open = 0;
    for at in 0..rig.workers.len() {
        open += rig.books.open_charges().await?;
        bounce(&mut rig.workers[at]).await?;
        sleep(BREATH).await;
    }
    ensure!(open > 0, "no charge was on its way when the workers were killed");
    let kills = rig.workers.len() as u64;
    Ok(Injected::new(kills, format!("kill -9, {open} charges on their way")))
}

async fn kill_fronts(rig: &mut Rig<'_>) -> anyhow::Result<Injected> {
    for node in &mut rig.fronts {
        bounce(node).await?;
        sleep(BREATH).await;
    }
    Ok(Injected::new(rig.fronts.len() as u64, "kill -9"))
}

async fn bounce(node: &mut Node) -> anyhow::Result<()> {
    node.kill().await?;
    sleep(AWAY).await;
    node.start().await
}

/// The hard way and the proper one.
async fn restart(rig: &Rig<'_>, name: &str) -> anyhow::Result<Injected> {
    rig.stack.kill(name).await?;
    sleep(AWAY).await;
    rig.stack.up(&[name]).await?;
    sleep(BREATH).await;
    rig.stack.restart(name).await?;
    Ok(Injected::new(2, "kill -9 and a restart"))
}

async fn restart_redis(rig: &Rig<'_>, sale: &Sale) -> anyhow::Result<Injected> {
    rig.stack.kill("redis").await?;
    sleep(AWAY).await;
    sale.fault_history.holds_may_be_lost(sale.now());
    rig.stack.up(&["redis"]).await?;
    // Whoever was answered before the server died may be told only now.
    sale.fault_history.holds_may_be_lost(sale.now());
    Ok(Injected::new(1, "kill -9, nothing kept"))
}

async fn flush_redis(rig: &Rig<'_>, sale: &Sale) -> anyhow::Result<Injected> {
    const FLUSHES: u64 = 2;
    for _ in 0..FLUSHES {
        sale.fault_history.holds_may_be_lost(sale.now());
        redis::ask(rig.stack.port("REDIS_PORT")?, &["flushall"]).await?;
        sleep(Duration::from_millis(200)).await;
        sale.fault_history.holds_may_be_lost(sale.now());
        sleep(BREATH).await;
    }
    Ok(Injected::new(FLUSHES, "FLUSHALL"))
}

async fn fail_over(rig: &Rig<'_>, sale: &Sale) -> anyhow::Result<Injected> {
    let master = redis::master_of(rig.stack, &sale.event).await?;
    sale.fault_history.holds_may_be_lost(sale.now());
    rig.stack.kill(&master.name).await?;
    redis::await_failover(rig.stack, &sale.event, &master).await?;
    sale.fault_history.holds_may_be_lost(sale.now());
    rig.stack.up(&[&master.name]).await?;
    Ok(Injected::new(1, format!("kill -9 of {}", master.name)))
}

/// A third worker comes and goes.
async fn rebalance(rig: &Rig<'_>) -> anyhow::Result<Injected> {
    let mut node = rig.third_worker()?;
    for turn in 0..REBALANCES {
        if turn % 2 == 0 {
            node.start().await?
        } else {
            node.stop().await?
        }
        sleep(REBALANCE_EVERY).await;
    }
    Ok(Injected::new(REBALANCES, "joins and leaves"))
}

impl Injected {
    fn new(count: u64, what: impl Into<String>) -> Self {
        Self { count, what: what.into() }
    }
}
