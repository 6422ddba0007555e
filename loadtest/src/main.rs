//! The outside judge of Tidegate: a spike that checks every promise, and benchmarks side by side.
mod bench;
mod canaries;
mod faults;
mod history;
mod http;
mod judge;
mod latency;
mod operator;
mod people;
mod postgres_wire;
mod procfs;
mod report;
mod resources;
mod scenario;
mod spike;
mod verdict;
mod waits;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use operator::{ADMIN_PASSWORD, ADMIN_USERNAME, Tidegate};
use scenario::{Scenario, Wanted};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The one that `tidegate` runs on: what is measured beside it must not differ by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Judges Tidegate from outside.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Many people for few seats against a server started with --no-limits; the admin's
    /// credentials come from TIDEGATE_ADMIN_USERNAME and TIDEGATE_ADMIN_PASSWORD.
    Spike(SpikeFlags),
    /// Small spikes, each with a server that fails in the middle; on a stack of its own.
    Faults(faults::Flags),
    /// Tidegate beside a bare server, in one run; starts both itself.
    Bench(bench::Flags),
    /// The bare hyper server that benchmarks compare with.
    Bare(bench::BareFlags),
    /// One side of `bench produce`, told over stdin.
    #[command(hide = true)]
    ProduceSide(bench::SideFlags),
}

#[derive(Debug, Args)]
struct SpikeFlags {
    /// People who come.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// Seats there are.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    seats: u32,
    /// Seconds within which everybody arrives.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    arrive_seconds: u64,
    /// Where Tidegate listens.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    base: String,
    /// The data folder of that server, for `account mint` and `audit`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file of that server.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Admissions a minute [default: half of the arrivals, at most 18000].
    #[arg(long)]
    rate_per_minute: Option<u32>,
    /// People in the shop at once [default: half a minute of the rate, 50 to 10000].
    #[arg(long)]
    capacity: Option<u32>,
    /// Connections for short requests; as many again for long polls.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=8_000))]
    connections: u16,
    /// The server's admin listener, sampled for I20 and searched for I21; may be given several times.
    #[arg(long, value_name = "URL")]
    admin: Vec<String>,
    /// What the server logs, searched for this run's secrets; may be given several times.
    #[arg(long, value_name = "FILE")]
    server_log: Vec<PathBuf>,
    /// The base is a load balancer: do not check the order of joins over nodes.
    #[arg(long)]
    many_nodes: bool,
    /// Draws every person's character.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How a run ended, as its exit code says.
enum Outcome {
    Passed,
    Failed,
    WrongUse,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Spike(flags) => on_one_thread(run_spike(flags)),
        Verb::Faults(flags) => on_one_thread(run_faults(flags)),
        Verb::Bench(flags) => on_one_thread(run_bench(flags)),
        Verb::Bare(flags) => bench::bare(&flags).map(|()| Outcome::Passed),
        Verb::ProduceSide(flags) => bench::produce_side(&flags).map(|()| Outcome::Passed),
    };
    match outcome {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Ok(Outcome::WrongUse) => ExitCode::from(2),
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::from(1)
        }
    }
}

async fn run_spike(flags: SpikeFlags) -> anyhow::Result<Outcome> {
    let Some(admin) = spike::admin_from_environment() else {
        eprintln!("loadtest: set {ADMIN_USERNAME} and {ADMIN_PASSWORD}");
        return Ok(Outcome::WrongUse);
    };
    let mut addresses = std::iter::once(&flags.base).chain(&flags.admin);
    if let Err(error) = addresses.try_for_each(|base| http::parse_base(base).map(drop)) {
        eprintln!("loadtest: {error:#}");
        return Ok(Outcome::WrongUse);
    }
    let scenario = Scenario::new(Wanted {
        users: flags.users,
        seats: flags.seats,
        arrive: Duration::from_secs(flags.arrive_seconds),
        rate_per_minute: flags.rate_per_minute,
        capacity: flags.capacity,
        seed: flags.seed,
    });
    let target = spike::Target {
        bases: vec![flags.base],
        admin,
        tidegate: Tidegate::beside_us(flags.data, flags.config)?,
        connections: flags.connections.into(),
        one_node: !flags.many_nodes,
        admins: flags.admin,
        logs: flags.server_log,
    };
    let report = spike::spike(&target, &scenario).await?;
    if let Some(path) = &flags.json {
        let json = serde_json::to_string_pretty(&report).context("writing the report")?;
        std::fs::write(path, json + "\n").context("writing the report")?;
    }
    say(&report.text())?;
    Ok(if report.passed() { Outcome::Passed } else { Outcome::Failed })
}

async fn run_faults(flags: faults::Flags) -> anyhow::Result<Outcome> {
    let kept = faults::faults(&flags).await?;
    Ok(if kept { Outcome::Passed } else { Outcome::Failed })
}

async fn run_bench(flags: bench::Flags) -> anyhow::Result<Outcome> {
    let met = bench::bench(&flags).await?;
    Ok(if met { Outcome::Passed } else { Outcome::Failed })
}

/// One thread drives everybody, so that the other core is the server's.
fn on_one_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().context("starting the runtime")?.block_on(work)
}

/// What a person or a script reads goes to stdout, whole.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing to stdout")
}
