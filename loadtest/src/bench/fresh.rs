//! How soon every node shows a step of the queue: from when the store made it to the answer in
//! which a client of each node first sees it.
use super::lateness::Lateness;
use super::rounds::Ratios;
use super::{Flags, Measurement, Row};
use crate::http::{Pool, Request, locate};
use crate::operator::{ADMIN_PASSWORD, ADMIN_USERNAME, Scratch, Server, Tidegate};
use crate::spike::{Stage, set_up};
use anyhow::{Context, bail, ensure};
use clap::Args;
use ledger::books::QueueStep;
use ledger::{Clock, QueueId};
use ledger_postgres::{PgBounds, PgStore, open_books};
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const ROW: Row = Row {
    stage: "now_serving on every node",
    against: "250 ms / p99 from the step to its sighting on each node (goal 100 ms, stretch 50 ms)",
    floor: 1.0,
    goal: 2.5,
    stretch: 5.0,
};

/// People called a second: steps as fine as they come.
const CALLED_A_SECOND: u64 = 100;
/// Joins at once, of those that make the line before anything is measured.
const JOINS: usize = 16;
/// People in line beyond those who are called while it is measured.
const SPARE: u64 = 2_000;
const LOOK_EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(crate) struct FreshFlags {
    /// fresh: the configuration that all nodes share.
    #[arg(long, value_name = "FILE", default_value = "ops/dev/tidegate.toml")]
    config: PathBuf,
    /// fresh: the books that it names.
    #[arg(
        long,
        value_name = "URL",
        default_value = "postgres://tidegate@127.0.0.1:15432/tidegate"
    )]
    books: String,
    /// fresh: nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: u8,
}

/// The nodes of one sale, and a client of each.
struct Fixture {
    servers: Vec<Server>,
    clients: Vec<Arc<Pool>>,
    stage: Stage,
    _scratch: Scratch,
}

/// When a client first saw the queue serve a number, in milliseconds of the clock.
#[derive(Clone, Copy)]
struct Sighting {
    now_serving: u64,
    at: i64,
}

#[derive(Deserialize)]
struct QueueStatus {
    now_serving: u64,
}

pub(super) async fn fresh(flags: &Flags) -> anyhow::Result<Measurement> {
    let length = Duration::from_secs(flags.seconds * u64::from(flags.rounds));
    let fixture = Fixture::open(&flags.fresh).await?;
    fixture.form_line(CALLED_A_SECOND * length.as_secs() + SPARE).await?;
    let begun = Clock::System.now().millis();
    let mut lanes = JoinSet::new();
    for client in &fixture.clients {
        lanes.spawn(watch(client.clone(), fixture.status(), Instant::now() + length));
    }
    let mut sightings = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        sightings.push(lane.context("a watcher's task ended badly")??);
    }
    let steps = steps(&flags.fresh.books, &fixture.stage.queue).await?;
    let nodes = fixture.servers.len();
    for server in fixture.servers {
        server.stop().await?;
    }
    let (late, steps) = lateness(&steps, &sightings, begun);
    let late = Lateness::of(late).context("the queue made no step that every node showed")?;
    let notes = vec![
        format!(
            "{nodes} nodes on the same stores, {steps} steps in {} s, each on each node: {late}",
            length.as_secs()
        ),
        "from the time of the store's script that made the step, its commit in Postgres included, \
         to an answer over HTTP; looked every few ms"
            .to_owned(),
    ];
    Ok(Measurement {
        row: ROW,
        ratios: Ratios::from_ratios(vec![late.ratio()], vec![1.0]),
        notes,
        breaches: vec![],
    })
}

impl Fixture {
    async fn open(flags: &FreshFlags) -> anyhow::Result<Self> {
        let scratch = Scratch::new("fresh")?;
        // An admin of this run alone: what others sold on the stores stays as it is.
        let name = format!("bench-{}-{}", std::process::id(), Clock::System.now().millis());
        let admin = (name, "a password for one run".to_owned());
        let environment = [(ADMIN_USERNAME, &*admin.0), (ADMIN_PASSWORD, &*admin.1)];
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        for node in 0..flags.nodes {
            let data = scratch.path().join(node.to_string());
            let tidegate = Tidegate::beside_us(Some(data), Some(flags.config.clone()))?;
            let server = tidegate.serve(&environment).await?;
            let (address, host) = locate(&server.base).await?;
            clients.push(Arc::new(Pool::new(address, &host, JOINS)));
            servers.push(server);
        }
        let event = json!({
            "name": "Bench", "date": "2030-06-01", "venue": "The load test", "total_seats": 1_000,
            "queue": {"rate_per_minute": CALLED_A_SECOND * 60, "capacity": 10_000},
        });
        let stage = set_up(&clients[0], &admin, &event).await?;
        Ok(Self { servers, clients, stage, _scratch: scratch })
    }

    fn status(&self) -> Request {
        Request::get(format!("/api/queue/{}", self.stage.queue))
    }

    /// People join at all nodes by turns.
    async fn form_line(&self, people: u64) -> anyhow::Result<()> {
        let join = Request::post(format!("/api/queue/{}/join", self.stage.queue), &json!({}));
        let mut lanes = JoinSet::new();
        for lane in 0..JOINS {
            let client = self.clients[lane % self.clients.len()].clone();
            let join = join.clone();
            lanes.spawn(async move {
                let mut joined = 0;
                while joined < people.div_ceil(JOINS as u64) {
                    let answer = client.send(&join, PATIENCE).await?;
                    match (answer.status, answer.retry_after()) {
                        (201, _) => joined += 1,
                        // The nodes meet a new queue all at once, and one of them loads it.
                        (503, Some(seconds)) => sleep(Duration::from_secs(seconds)).await,
                        _ => bail!("a join answers {}", answer.summary()),
                    }
                }
                Ok(())
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane.context("a lane of joins ended badly")??;
        }
        Ok(())
    }
}

/// What a client of one node sees, at each change.
async fn watch(
    client: Arc<Pool>,
    status: Request,
    until: Instant,
) -> anyhow::Result<Vec<Sighting>> {
    let mut sightings: Vec<Sighting> = Vec::new();
    while Instant::now() < until {
        let answer = client.send(&status, PATIENCE).await?;
        let at = Clock::System.now().millis();
        let QueueStatus { now_serving } = answer.json().context("reading a queue status")?;
        let last = sightings.last().map_or(0, |seen| seen.now_serving);
        ensure!(now_serving >= last, "now_serving went back from {last} to {now_serving}");
        if now_serving > last {
            sightings.push(Sighting { now_serving, at });
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(sightings)
}

async fn steps(books: &str, queue: &str) -> anyhow::Result<Vec<QueueStep>> {
    let bounds = PgBounds {
        connections_max: 1,
        acquire_timeout_ms: 10_000,
        lock_timeout_ms: 10_000,
        statement_timeout_ms: 60_000,
    };
    let store = PgStore::open(books, bounds).await.context("opening the books")?;
    let queue = QueueId::parse(queue).context("the queue's id")?;
    Ok(open_books(&store).queue_progress.steps(&queue, 0).await?)
}

/// From each step to its sighting on each node, and how many steps that were. Steps from before the
/// first look, and those that not everybody saw before the last, do not count.
fn lateness(steps: &[QueueStep], sightings: &[Vec<Sighting>], begun: i64) -> (Vec<i64>, usize) {
    let mut late = Vec::new();
    let mut counted = 0;
    for step in steps.iter().filter(|step| step.at.millis() >= begun) {
        let first = |sightings: &Vec<Sighting>| {
            let at = sightings.partition_point(|seen| seen.now_serving < step.now_serving);
            sightings.get(at).map(|seen| seen.at - step.at.millis())
        };
        if let Some(all) = sightings.iter().map(first).collect::<Option<Vec<_>>>() {
            late.extend(all);
            counted += 1;
        }
    }
    (late, counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::Timestamp;

    #[test]
    fn a_step_is_late_until_each_node_shows_it_or_a_later_one() {
        let step = |now_serving, at| QueueStep {
            now_serving,
            at: Timestamp::from_millis(at),
            granting_millis: at,
        };
        let sighting = |now_serving, at| Sighting { now_serving, at };
        let steps = [step(5, 90), step(10, 100), step(20, 200), step(30, 300)];
        let one = vec![sighting(5, 95), sighting(10, 130), sighting(30, 310)];
        let other = vec![sighting(20, 260)];
        let (late, counted) = lateness(&steps, &[one, other], 100);
        assert_eq!((late, counted), (vec![30, 160, 110, 60], 2), "the last was seen by one only");
    }
}
