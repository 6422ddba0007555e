//! The fault matrix: small spikes, each with something that breaks in the middle of it.
mod inject;
mod kafka;
mod matrix;
mod postgres;
mod redis;
mod rig;
mod row;
mod stack;

use crate::operator::Tidegate;
use crate::say;
use crate::spike::{Behind, Crowd};
use anyhow::Context;
use clap::Args;
use matrix::Fault;
use rig::Rig;
use row::Row;
use stack::Stack;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What the last outcomes take to reach everybody.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// What every sale needs; the cluster comes up where it is used.
const SERVERS: [&str; 4] = ["redis", "postgres", "kafka", "cassandra"];

#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Only this fault; may be given several times [default: all].
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Fault>,
    /// People who arrive in a second, for as long as a fault lasts and somewhat longer.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=500))]
    per_second: u32,
    /// For how long Cassandra is away.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    cassandra_down_seconds: u64,
    /// The folder of the stack that is broken, and of the nodes' logs.
    #[arg(long, value_name = "DIR", default_value = "/tmp/tidegate-faults")]
    stack: PathBuf,
    /// How much higher its ports are than those of ops/dev/ports.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    shift: u16,
    /// Where the scripts up, restart, kill and down are.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/dev"))]
    ops_dev: PathBuf,
    /// Leave the stack running.
    #[arg(long)]
    keep: bool,
    /// Draws every person's character.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write all reports as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the matrix; false when a promise was broken or a fault did not happen.
pub(crate) async fn faults(flags: &Flags) -> anyhow::Result<bool> {
    let stack = Stack::new(&flags.ops_dev, &flags.stack, flags.shift)?;
    let tidegate = Tidegate::beside_us(None, None)?;
    let chosen = if flags.only.is_empty() { &Fault::ALL } else { &*flags.only };
    stack.up(&SERVERS).await?;
    say(&row::heading())?;
    let mut rows = Vec::new();
    for &fault in chosen {
        let row = match suffer(fault, flags, &stack, &tidegate).await {
            Ok(row) => row,
            Err(error) => Row::failed(fault, format!("{error:#}")),
        };
        say(&row.text())?;
        rows.push(row);
    }
    if !flags.keep {
        stack.down().await?;
    }
    if let Some(path) = &flags.json {
        let json = serde_json::to_string_pretty(&rows).context("writing the reports")?;
        std::fs::write(path, json + "\n").context("writing the reports")?;
    }
    let kept = rows.iter().filter(|row| row.passed()).count();
    say(&format!("\n{kept} of {} faults survived with every promise kept\n", rows.len()))?;
    Ok(kept == rows.len())
}

/// One spike with one fault, on stores that nobody used before.
async fn suffer(
    fault: Fault,
    flags: &Flags,
    stack: &Stack,
    tidegate: &Tidegate,
) -> anyhow::Result<Row> {
    // The fault before this one may have left something dead.
    stack.up(&SERVERS).await?;
    let mut rig = Rig::start(fault, stack, tidegate).await?;
    let target = rig.target();
    let scenario = fault.scenario(flags);
    let crowd = Crowd::gather(&target, &scenario).await?;
    let mut behind = Behind::of(&target).await?;
    let (seen, injected) = tokio::join!(behind.beside(crowd.visit()), async {
        sleep(matrix::BEFORE).await;
        let injected = inject::inject(fault, flags, &mut rig, &crowd.sale).await;
        (injected, Instant::now())
    });
    let (histories, (injected, healed)) = (seen?, injected);
    sleep(SETTLED_WITHIN).await;
    behind.messages = rig.messages().await?;
    let report = crowd.report(&target, &histories, &behind).await?;
    let recovered = crowd.sale.fault_history.recovered_after(healed);
    let slowest = crowd.sale.fault_history.slowest_refusal();
    let stopped = rig.stop().await;
    Ok(Row::new(fault, injected, recovered, slowest, report, stopped))
}
