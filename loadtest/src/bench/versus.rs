//! Tidegate's two hot routes beside bare hyper servers.
use super::bare;
use super::drive::{Drive, Exchange};
use super::rounds::{Ratios, Round, describe};
use super::{Flags, JOIN, Measurement, Row, WATCH};
use crate::http::{Answer, Pool, Request, locate};
use crate::operator::{ADMIN_PASSWORD, ADMIN_USERNAME, AuditVerdict, Scratch, Server, Tidegate};
use crate::spike::{Stage, set_up};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use tokio::process::Command;

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// A Tidegate of our own, with one event.
pub(super) struct Fixture {
    pub(super) tidegate: Tidegate,
    pub(super) server: Server,
    pub(super) pool: Pool,
    pub(super) stage: Stage,
    pub(super) scratch: Scratch,
}

impl Fixture {
    /// Starts a server with embedded stores in a folder of its own.
    pub(super) async fn open(
        name: &str,
        event: &Value,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let scratch = Scratch::new(name)?;
        let tidegate = Tidegate::beside_us(Some(scratch.path().join("data")), None)?;
        let admin = ("bench-admin".to_owned(), "a password for one run".to_owned());
        let mut all = vec![(ADMIN_USERNAME, &*admin.0), (ADMIN_PASSWORD, &*admin.1)];
        all.extend_from_slice(environment);
        let server = tidegate.serve(&all).await?;
        let (address, host) = locate(&server.base).await?;
        let pool = Pool::new(address, &host, 4);
        let stage = set_up(&pool, &admin, event).await?;
        Ok(Self { tidegate, server, pool, stage, scratch })
    }

    /// What the audit finds broken.
    pub(super) async fn broken(&self) -> anyhow::Result<Vec<String>> {
        let lines = self.tidegate.audit().await?;
        let broken = lines.into_iter().filter(|line| line.verdict == AuditVerdict::Broken);
        Ok(broken
            .map(|line| format!("{} {}", line.invariant, line.detail.unwrap_or_default()))
            .collect())
    }
}

/// An event where all but the first wait: one admission a minute, one slot.
pub(super) fn crowded() -> Value {
    json!({
        "name": "Bench", "date": "2030-06-01", "venue": "The load test", "total_seats": 1_000,
        "queue": {"rate_per_minute": 1, "capacity": 1},
    })
}

pub(super) async fn watch(flags: &Flags) -> anyhow::Result<Measurement> {
    let fixture = Fixture::open("watch", &crowded(), &[]).await?;
    let request = Request::get(format!("/api/queue/{}", fixture.stage.queue));
    let answer = fixture.pool.send(&request, PATIENCE).await?;
    ensure!(answer.status == 200, "the queue status answers {}", answer.status);
    let file = fixture.scratch.path().join("body");
    std::fs::write(&file, answer.body()).context("keeping the status's bytes")?;
    let mut command = ourselves()?;
    command.arg("bare").arg("--body").arg(&file);
    for name in ["content-type", "etag", "cache-control", "x-content-type-options"] {
        if let Some(value) = answer.header(name) {
            command.arg("--header").arg(format!("{name}: {value}"));
        }
    }
    let bare = Server::start(command, bare::READY).await?;
    let sides = Sides {
        bare: Exchange { request: request.encode("bench"), status: 200, field: None },
        ours: Exchange { request: request.encode("bench"), status: 200, field: None },
        sample: answer,
    };
    let note = format!("the queue status is {} bytes", sides.sample.body().len());
    compare(flags, WATCH, fixture, bare, sides, note).await
}

pub(super) async fn join(flags: &Flags) -> anyhow::Result<Measurement> {
    let fixture = Fixture::open("join", &crowded(), &[]).await?;
    let request = Request::post(format!("/api/queue/{}/join", fixture.stage.queue), &json!({}));
    let answer = fixture.pool.send(&request, PATIENCE).await?;
    ensure!(answer.status == 201, "a join answers {}", answer.status);
    let mut command = ourselves()?;
    command.args(["bare", "--echo"]);
    let bare = Server::start(command, bare::READY).await?;
    let sides = Sides {
        bare: Exchange { request: request.encode("bench"), status: 201, field: None },
        ours: Exchange { request: request.encode("bench"), status: 201, field: Some("\"entry") },
        sample: answer,
    };
    let note = "an open queue of one admission a minute: every join but the first waits, the \
        ordinary path; no login, no key";
    compare(flags, JOIN, fixture, bare, sides, note.to_owned()).await
}

/// The two requests, and one of our answers.
struct Sides {
    bare: Exchange,
    ours: Exchange,
    sample: Answer,
}

async fn compare(
    flags: &Flags,
    row: Row,
    fixture: Fixture,
    bare: Server,
    sides: Sides,
    note: String,
) -> anyhow::Result<Measurement> {
    let mut notes = vec![note, ceiling(flags, &fixture, &sides).await?];
    let mut ours = Drive::new(&fixture.server, sides.ours, flags.connections).await?;
    let mut theirs = Drive::new(&bare, sides.bare, flags.connections).await?;
    ours.part(WARM_UP).await?;
    theirs.part(WARM_UP).await?;
    let length = Duration::from_secs(flags.seconds);
    let mut rounds = Vec::new();
    for _ in 0..flags.rounds {
        let first = theirs.part(length).await?;
        let pair = [ours.part(length).await?, ours.part(length).await?];
        rounds.push(Round { bare: [first, theirs.part(length).await?], ours: pair });
    }
    notes.push(describe("bare", rounds.iter().flat_map(|round| round.bare)));
    notes.push(describe("ours", rounds.iter().flat_map(|round| round.ours)));
    let (connections, count, seconds) = (flags.connections, flags.rounds, flags.seconds);
    notes.push(format!("{count} rounds of 4 × {seconds} s over {connections} connections"));
    notes.push("allocator: mimalloc on either side".to_owned());
    notes.push(DURABILITY.to_owned());
    let mut breaches = fixture.broken().await?;
    let (mut seen, mut twice) = (HashSet::new(), 0_u64);
    twice += ours.kept().filter(|&entry| !seen.insert(entry)).count() as u64;
    if twice > 0 {
        breaches.push(format!("I9 {twice} entries were given twice"));
    }
    Ok(Measurement { row, ratios: Ratios::of(&rounds), notes, breaches })
}

/// How fast the generator is when the other side does nothing.
async fn ceiling(flags: &Flags, fixture: &Fixture, sides: &Sides) -> anyhow::Result<String> {
    let file = fixture.scratch.path().join("canned");
    std::fs::write(&file, sides.sample.bytes()).context("keeping an answer's bytes")?;
    let mut command = ourselves()?;
    command.arg("bare").arg("--canned").arg(&file);
    let canned = Server::start(command, bare::READY).await?;
    let exchange = Exchange { field: None, ..sides.ours.clone() };
    let mut drive = Drive::new(&canned, exchange, flags.connections).await?;
    drive.part(WARM_UP).await?;
    let part = drive.part(Duration::from_secs(flags.seconds)).await?;
    let per_second = part.requests as f64 / part.wall.as_secs_f64();
    Ok(format!("the generator's own ceiling: {per_second:.0} req/s"))
}

fn ourselves() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("finding our own executable")?))
}

/// What a figure of the embedded stores was measured with.
pub(super) const DURABILITY: &str =
    "durability: embedded stores, SQLite in WAL mode with synchronous=FULL, group commit";
