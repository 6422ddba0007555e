//! Settling bookings in Postgres beside pgbench: the same statements, and single-row inserts.
mod database;
mod pgbench;
mod recording;
mod script;

use super::rounds::Ratios;
use super::{Flags, Measurement, Row, sample};
use anyhow::{Context, ensure};
use clap::Args;
use database::Server;
use ledger::books::{Begun, Purchases, Settlement};
use ledger::purchase::ChargeResult;
use ledger::{Clock, Timestamp};
use ledger_postgres::{PgBounds, PgPurchases, PgStore};
use pgbench::{Pgbench, SINGLE_CLIENTS};
use recording::Recorder;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SAME: Row = Row {
    stage: "settle in Postgres",
    against: "pgbench of the same multi-row statements, as recorded from ours; by wall time",
    floor: 0.75,
    goal: 0.90,
    stretch: 1.0,
};
const SINGLE: Row = Row {
    stage: "settle in Postgres, rows written a second",
    against: "pgbench single-row inserts, a transaction each, 20 clients, same durability",
    floor: 3.0,
    goal: 5.0,
    stretch: 7.0,
};

/// Batches a client of the first try, which finds out how many fill a part.
const TRY_BATCHES: usize = 8;
/// So much more than the first try promises, as it starts cold.
const MARGIN: f64 = 1.3;

#[derive(Debug, Args)]
pub(crate) struct SettleFlags {
    /// settle: a database of the server, whose user may make others.
    #[arg(
        long,
        value_name = "URL",
        default_value = "postgres://tidegate@127.0.0.1:15432/tidegate"
    )]
    postgres: String,
    /// settle: bookings a transaction, as `payment_worker.settle_batch_max` has it.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=2_048))]
    settle_batch: u16,
    /// settle: transactions at once, on either side.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    settle_clients: u16,
    /// settle: where pgbench is [default: the newest under /usr/lib/postgresql].
    #[arg(long, value_name = "FILE")]
    pgbench: Option<PathBuf>,
}

/// The same work for everybody: what to settle, a list of batches a client.
type Work = Arc<Vec<Vec<Vec<Settlement>>>>;

/// Everything that a round needs.
struct Contest<'a> {
    flags: &'a Flags,
    server: Server,
    /// A database with the bookings of `work`, all charged and none settled.
    template: String,
    work: Work,
    pgbench: Pgbench,
}

pub(super) async fn settle(flags: &Flags) -> anyhow::Result<Vec<Measurement>> {
    let server = Server::new(&flags.settle.postgres)?;
    let measured = compare(flags, &server).await;
    server.remove_all().await?;
    measured
}

async fn compare(flags: &Flags, server: &Server) -> anyhow::Result<Vec<Measurement>> {
    let batches = batches_a_part(flags, server).await?;
    let contest = Contest::prepare(flags, server, "work", batches).await?;
    contest.pgbench.write_script(&contest.record().await?)?;
    let bookings = contest.bookings();
    let (mut same, mut single) = (Sides::default(), Sides::default());
    for _ in 0..flags.rounds {
        let multi = contest.theirs().await?;
        let inserted = contest.inserted().await?;
        let ours = (contest.ours().await?, contest.ours().await?);
        single.add(ours, (inserted, contest.inserted().await?));
        same.add(ours, (multi, contest.theirs().await?));
    }
    let rows = same.ours_mean();
    let notes = vec![
        server.durability().await?,
        format!(
            "{} rounds; a part is {bookings} bookings of {} seats in batches of {} by {} clients, \
             in a fresh copy of the same database; single rows for {} s a part",
            flags.rounds,
            sample::SEATS,
            flags.settle.settle_batch,
            flags.settle.settle_clients,
            flags.seconds
        ),
        format!("ours: {rows:.0} rows/s, {:.0} bookings/s", rows / contest.rows_a_booking().await?),
        format!("pgbench, same statements: {:.0} rows/s", same.bare_mean()),
        format!(
            "pgbench, single-row inserts, {SINGLE_CLIENTS} clients: {:.0} rows/s",
            single.bare_mean()
        ),
    ];
    let measurement = |row, sides: Sides, notes| Measurement {
        row,
        ratios: sides.ratios(),
        notes,
        breaches: vec![],
    };
    Ok(vec![measurement(SAME, same, notes), measurement(SINGLE, single, vec![])])
}

/// How many batches a client settles in the length of a part.
async fn batches_a_part(flags: &Flags, server: &Server) -> anyhow::Result<usize> {
    let contest = Contest::prepare(flags, server, "try", TRY_BATCHES).await?;
    let wall = contest.settle().await?.1;
    server.remove(&contest.template).await?;
    let batch = wall.as_secs_f64() / TRY_BATCHES as f64;
    Ok(((flags.seconds as f64 / batch * MARGIN) as usize).max(TRY_BATCHES))
}

/// Rows a second of each part.
#[derive(Default)]
struct Sides {
    ours: Vec<(f64, f64)>,
    bare: Vec<(f64, f64)>,
}

impl Sides {
    fn add(&mut self, ours: (f64, f64), bare: (f64, f64)) {
        self.ours.push(ours);
        self.bare.push(bare);
    }

    fn ours_mean(&self) -> f64 {
        mean(&self.ours)
    }

    fn bare_mean(&self) -> f64 {
        mean(&self.bare)
    }

    fn ratios(&self) -> Ratios {
        let pairs = self.ours.iter().zip(&self.bare);
        let ratios = pairs.map(|(ours, bare)| (ours.0 + ours.1) / (bare.0 + bare.1));
        let controls = self.bare.iter().map(|bare| bare.0 / bare.1);
        Ratios::from_ratios(ratios.collect(), controls.collect())
    }
}

fn mean(parts: &[(f64, f64)]) -> f64 {
    parts.iter().map(|(one, two)| one + two).sum::<f64>() / (2 * parts.len()) as f64
}

impl<'a> Contest<'a> {
    /// Makes bookings that are charged and not settled.
    async fn prepare(
        flags: &'a Flags,
        server: &Server,
        name: &str,
        batches: usize,
    ) -> anyhow::Result<Self> {
        let clients = usize::from(flags.settle.settle_clients);
        let size = usize::from(flags.settle.settle_batch);
        let template = server.make(name, None).await?;
        let store = open(&server.url(&template), 2).await?;
        let purchases = PgPurchases::new(store.clone());
        let bookings = sample::bookings(clients * batches * size)?;
        let (now, mut settlements) = (Clock::System.now(), Vec::new());
        for batch in bookings.chunks(size) {
            let begun = purchases.begin(batch, now).await.context("beginning bookings")?;
            settlements.push(begun.iter().map(captured).collect::<anyhow::Result<Vec<_>>>()?);
        }
        store.close().await;
        let work = (0..clients)
            .map(|client| settlements.iter().skip(client).step_by(clients).cloned().collect());
        let pgbench = Pgbench::new(flags.settle.pgbench.clone())?;
        let (server, work) = (server.clone(), Arc::new(work.collect()));
        Ok(Self { flags, server, template, work, pgbench })
    }

    fn bookings(&self) -> usize {
        self.work.iter().flatten().map(Vec::len).sum()
    }

    /// What our settling says to Postgres, transaction by transaction, a list a client.
    async fn record(&self) -> anyhow::Result<Vec<recording::Said>> {
        let run = self.server.make("recorded", Some(&self.template)).await?;
        let recorder = Recorder::before(&self.server).await?;
        let store = open(&recorder.url(&run), 1).await?;
        let purchases = PgPurchases::new(store.clone());
        let mut said = Vec::new();
        for batches in self.work.iter() {
            recorder.forget();
            for batch in batches {
                purchases.settle(batch, now()).await.context("settling bookings")?;
            }
            said.push(recorder.said()?);
        }
        store.close().await;
        self.check(&run).await?;
        self.server.remove(&run).await?;
        Ok(said)
    }

    /// Rows a second by ours.
    async fn ours(&self) -> anyhow::Result<f64> {
        let (rows, wall) = self.settle().await?;
        Ok(rows as f64 / wall.as_secs_f64())
    }

    /// Settles everything; how many rows that wrote, and how long it took.
    async fn settle(&self) -> anyhow::Result<(u64, Duration)> {
        let run = self.server.make("run", Some(&self.template)).await?;
        let store = open(&self.server.url(&run), self.work.len()).await?;
        let mut lanes = JoinSet::new();
        let started = Instant::now();
        for client in 0..self.work.len() {
            let (work, purchases) = (self.work.clone(), PgPurchases::new(store.clone()));
            lanes.spawn(async move {
                for batch in &work[client] {
                    purchases.settle(batch, now()).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane.context("a client's task ended badly")?.context("settling bookings")?;
        }
        let wall = started.elapsed();
        store.close().await;
        let rows = self.check(&run).await?;
        self.server.remove(&run).await?;
        Ok((rows, wall))
    }

    /// Rows a second by pgbench with the recorded statements.
    async fn theirs(&self) -> anyhow::Result<f64> {
        let run = self.server.make("run", Some(&self.template)).await?;
        let wall = self.pgbench.replay(&self.server.url(&run), self.work.len()).await?;
        let rows = self.check(&run).await?;
        self.server.remove(&run).await?;
        Ok(rows as f64 / wall.as_secs_f64())
    }

    /// Rows a second by pgbench, one at a time.
    async fn inserted(&self) -> anyhow::Result<f64> {
        let run = self.server.make("single", None).await?;
        let seconds = self.flags.seconds;
        let rate = self.pgbench.insert(&self.server, &run, seconds).await?;
        self.server.remove(&run).await?;
        Ok(rate)
    }

    /// Everything must be settled; returns the rows that settling wrote.
    async fn check(&self, run: &str) -> anyhow::Result<u64> {
        let settled = self.server.settled(run).await?;
        let bookings = self.bookings() as u64;
        ensure!(settled.confirmed == bookings, "{} of {bookings} settled", settled.confirmed);
        Ok(settled.rows)
    }

    async fn rows_a_booking(&self) -> anyhow::Result<f64> {
        let run = self.server.make("count", Some(&self.template)).await?;
        self.pgbench.replay(&self.server.url(&run), self.work.len()).await?;
        let rows = self.check(&run).await?;
        self.server.remove(&run).await?;
        Ok(rows as f64 / self.bookings() as f64)
    }
}

async fn open(url: &str, connections: usize) -> anyhow::Result<PgStore> {
    let bounds = PgBounds {
        connections_max: u32::try_from(connections)?,
        acquire_timeout_ms: 5_000,
        lock_timeout_ms: 5_000,
        statement_timeout_ms: 60_000,
    };
    PgStore::open(url, bounds).await.context("opening the database")
}

fn captured(begun: &Begun) -> anyhow::Result<Settlement> {
    let Begun::Charge(purchase) = begun else {
        anyhow::bail!("a fresh booking is not to be charged")
    };
    let command = &purchase.command;
    let charge_id = format!("ch_{}", command.booking_id);
    let result = ChargeResult::Captured { charge_id, amount: command.total };
    Ok(Settlement { booking_id: command.booking_id.clone(), result })
}

fn now() -> Timestamp {
    Clock::System.now()
}
