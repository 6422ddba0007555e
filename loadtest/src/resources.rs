//! What the servers hold while everybody is there, against stated bounds (`bounded-resources`).
use crate::http::{Pool, Request, locate};
use crate::operator::Tidegate;
use crate::procfs;
use crate::verdict::Verdict;
use anyhow::Context;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::sleep;

const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// How long an admin listener may take; one that is dead at the moment is asked again.
const PATIENCE: Duration = Duration::from_secs(2);

const MIB: u64 = 1 << 20;
/// What a node needs whatever its limits are: code, layouts of events, seats, views of bookings.
const RESIDENT_BASE: u64 = 512 * MIB;
/// An open connection beside its buffer: the task, the request, the answer.
const CONNECTION_BYTES: u64 = 16 * 1024;
/// Argon2id's memory for one password.
const PASSWORD_BYTES: u64 = 19 * MIB;
/// Files, pipes, sockets to Kafka, Redis and Cassandra, and the listeners.
const DESCRIPTORS_BASE: u64 = 256;
/// Tokio runs at most 512 threads for blocking work; the rest is workers and clients of servers.
const THREADS_MAX: u64 = 512 + 64;
/// Loops and what they do at once, beside what connections do.
const TASKS_BASE: u64 = 4_096;

/// Where to look, and how much there may be.
pub(crate) struct Sampler {
    nodes: Vec<Node>,
    bounds: Bounds,
    peaks: BTreeMap<String, u64>,
    readings: u64,
}

struct Node {
    admin: String,
    pool: Pool,
    pid: Option<u32>,
    /// The last metrics that it showed.
    metrics: Vec<u8>,
}

/// The most there may be, by what it is: a metric's name, or something of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounds(BTreeMap<String, u64>);

impl Bounds {
    /// From the limits in the configuration, by key.
    pub(crate) fn new(config: &BTreeMap<String, u64>) -> anyhow::Result<Self> {
        let limit = |key: &str| {
            config.get(key).copied().with_context(|| format!("`tidegate config` shows no {key}"))
        };
        let connections = limit("ingress.connections_max")?;
        let (streams, polls) = (limit("ingress.streams_max")?, limit("ingress.long_polls_max")?);
        let postgres = limit("ledger.postgres.connections_max")?;
        let buffers = connections * (limit("ingress.connection_buffer_bytes")? + CONNECTION_BYTES);
        let passwords = limit("ingress.password_threads")? * PASSWORD_BYTES;
        let inflight = limit("ledger.kafka.inflight_bytes_max")?;
        let gateway = limit("payment_worker.gateway_connections_max")?;
        let bounds = [
            ("resident bytes", RESIDENT_BASE + buffers + passwords + inflight),
            ("descriptors", DESCRIPTORS_BASE + connections + postgres + gateway),
            ("threads", THREADS_MAX),
            // A connection, the request on it that outlives its client, and what it waits for.
            ("tidegate_ops_tasks", TASKS_BASE + 2 * connections + streams + polls),
            ("tidegate_ingress_connections", connections),
            ("tidegate_ingress_streams", streams),
            ("tidegate_ingress_long_polls", polls),
            ("tidegate_ingress_password_queue_length", limit("ingress.password_queue_max")?),
            ("tidegate_ledger_postgres_connections", postgres),
            ("tidegate_payment_worker_window_batches", limit("payment_worker.window_batches_max")?),
        ];
        Ok(Self(bounds.into_iter().map(|(what, most)| (what.to_owned(), most)).collect()))
    }
}

impl Sampler {
    /// Bounds are read from the configuration that the servers have.
    pub(crate) async fn new(admins: &[String], tidegate: &Tidegate) -> anyhow::Result<Self> {
        let bounds = Bounds::new(&tidegate.limits().await?)?;
        let mut nodes = Vec::new();
        for admin in admins {
            let (address, host) = locate(admin).await.context("--admin")?;
            let pool = Pool::new(address, &host, 1);
            nodes.push(Node { admin: admin.clone(), pool, pid: None, metrics: Vec::new() });
        }
        Ok(Self { nodes, bounds, peaks: BTreeMap::new(), readings: 0 })
    }

    /// Looks again and again while `run` goes on.
    pub(crate) async fn beside<T>(&mut self, run: impl Future<Output = T>) -> T {
        let mut run = std::pin::pin!(run);
        loop {
            tokio::select! {
                done = &mut run => {
                    self.look().await;
                    return done;
                }
                () = async { self.look().await; sleep(SAMPLE_EVERY).await } => {}
            }
        }
    }

    /// The metrics as each node showed them last, with where they came from.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.nodes.iter().map(|node| (node.admin.as_str(), node.metrics.as_slice()))
    }

    pub(crate) fn verdict(&self) -> Verdict {
        compared(&self.peaks, &self.bounds, self.readings)
    }

    async fn look(&mut self) {
        for node in &mut self.nodes {
            let Ok(answer) = node.pool.send(&Request::get("/metrics"), PATIENCE).await else {
                // Killed on purpose, perhaps; another process may listen there next.
                node.pid = None;
                continue;
            };
            node.metrics = answer.body().to_vec();
            let port = node.admin.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            node.pid = node.pid.or_else(|| procfs::listener(port?));
            let process = node.pid.and_then(procfs::usage);
            let process = process.into_iter().flat_map(|usage| {
                [
                    ("resident bytes".to_owned(), usage.resident_bytes),
                    ("descriptors".to_owned(), usage.descriptors),
                    ("threads".to_owned(), usage.threads),
                ]
            });
            let gauges = gauges(&String::from_utf8_lossy(&node.metrics));
            for (what, value) in process.chain(gauges) {
                if self.bounds.0.contains_key(&what) {
                    self.readings += 1;
                    let peak = self.peaks.entry(what).or_default();
                    *peak = value.max(*peak);
                }
            }
        }
    }
}

/// Every peak against its bound.
fn compared(peaks: &BTreeMap<String, u64>, bounds: &Bounds, readings: u64) -> Verdict {
    let over = peaks.iter().filter_map(|(what, peak)| {
        let most = bounds.0.get(what)?;
        (peak > most).then(|| format!("{what}: {peak}, the bound is {most}"))
    });
    Verdict { checked: readings, breaches: over.collect() }
}

/// The metrics that are one number, without labels.
fn gauges(text: &str) -> Vec<(String, u64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        let value: f64 = value.trim().parse().ok()?;
        Some((name.to_owned(), value.max(0.0) as u64))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> BTreeMap<String, u64> {
        [
            ("ingress.connections_max", 1_000),
            ("ingress.connection_buffer_bytes", 16_384),
            ("ingress.streams_max", 10),
            ("ingress.long_polls_max", 20),
            ("ingress.password_threads", 2),
            ("ingress.password_queue_max", 5),
            ("ledger.postgres.connections_max", 24),
            ("ledger.kafka.inflight_bytes_max", 1),
            ("payment_worker.gateway_connections_max", 30),
            ("payment_worker.window_batches_max", 16),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    #[test]
    fn a_planted_overrun_is_broken_and_what_fits_holds() {
        let bounds = Bounds::new(&limits()).unwrap();
        let peaks = |what: &str, peak| BTreeMap::from([(what.to_owned(), peak)]);
        for (what, peak, breach) in [
            ("descriptors", 1_310, None),
            ("descriptors", 1_311, Some("descriptors: 1311, the bound is 1310")),
            ("tidegate_ingress_streams", 11, Some("tidegate_ingress_streams: 11, the bound is 10")),
            ("threads", 577, Some("threads: 577, the bound is 576")),
        ] {
            let verdict = compared(&peaks(what, peak), &bounds, 3);
            assert_eq!(verdict.breaches, Vec::from_iter(breach.map(str::to_owned)), "{peak}");
            assert_eq!(verdict.checked, 3);
        }
    }

    #[test]
    fn a_limit_that_is_not_configured_is_no_bound() {
        let mut limits = limits();
        limits.remove("ingress.streams_max");
        assert!(Bounds::new(&limits).unwrap_err().to_string().contains("ingress.streams_max"));
    }

    #[test]
    fn gauges_are_read_as_the_server_writes_them() {
        let text = "# TYPE tidegate_ingress_streams gauge\ntidegate_ingress_streams 12\n\n\
                    tidegate_allocator_seats{state=\"free\"} 3\ntidegate_x 1.5e3\nbad\n";
        let read = gauges(text);
        assert!(read.contains(&("tidegate_ingress_streams".to_owned(), 12)), "{read:?}");
        assert!(read.contains(&("tidegate_x".to_owned(), 1_500)), "{read:?}");
        assert_eq!(read.len(), 3, "a labelled one keeps its labels and meets no bound");
    }
}
