//! One sale on the stack: a gateway, two nodes that people talk to, and two payment workers.
use super::kafka::Log;
use super::matrix::Fault;
use super::postgres::{Books, Cutter};
use super::redis;
use super::stack::Stack;
use crate::operator::{ADMIN_PASSWORD, ADMIN_USERNAME, Server, Tidegate, free_port};
use crate::spike::{Target, TopicMessage};
use anyhow::Context;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

const FRONT_ROLES: &str = "ingress,waiting-room,allocator,ledger";
const WORKER_ROLES: &str = "payment-worker";
const ADMIN: (&str, &str) = ("faults-admin", "a password for one run");
const CONNECTIONS: usize = 300;

pub(super) struct Rig<'a> {
    pub(super) stack: &'a Stack,
    pub(super) fronts: Vec<Node>,
    pub(super) workers: Vec<Node>,
    pub(super) gateway: Server,
    pub(super) books: Books,
    /// Between the nodes and Postgres, where connections are to be cut.
    pub(super) cutter: Option<Cutter>,
    /// Stands before the names of topics.
    pub(super) prefix: String,
    tidegate: Tidegate,
}

/// A node's process, which may be dead at times.
pub(super) struct Node {
    roles: &'static str,
    listen: String,
    admin: String,
    tidegate: Tidegate,
    log: PathBuf,
    server: Option<Server>,
}

impl<'a> Rig<'a> {
    /// Starts everything on stores of its own, so that one fault's traces are not another's.
    pub(super) async fn start(
        fault: Fault,
        stack: &'a Stack,
        tidegate: &Tidegate,
    ) -> anyhow::Result<Self> {
        let folder = stack.folder().join("nodes").join(fault.name());
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).context("making a folder for the nodes")?;
        let name = format!("faults_{}", fault.name().replace('-', "_"));
        let books = Books::make(stack, &name).await?;
        let cutter = match fault {
            Fault::PostgresCut => Some(Cutter::before(stack).await?),
            _ => None,
        };
        let gateway = start_gateway(tidegate, fault, &folder).await?;
        let prefix = format!("{name}-{}-", std::process::id());
        let stores = Stores { stack, fault, name: &name, prefix: &prefix };
        let environment = stores.environment(cutter.as_ref(), &gateway.base, &folder).await?;
        let environment: Vec<_> = environment.iter().map(|(key, value)| (*key, &**value)).collect();
        let tidegate = tidegate.with(folder.join("verbs"), &environment);
        tidegate.make_keys().await?;
        let mut rig = Self {
            stack,
            fronts: Vec::new(),
            workers: Vec::new(),
            gateway,
            books,
            cutter,
            prefix,
            tidegate,
        };
        for at in 1..=2 {
            rig.fronts.push(rig.node(&format!("front-{at}"), FRONT_ROLES, &folder)?);
            rig.workers.push(rig.node(&format!("worker-{at}"), WORKER_ROLES, &folder)?);
        }
        for node in rig.fronts.iter_mut().chain(&mut rig.workers) {
            node.start().await?;
        }
        Ok(rig)
    }

    /// One more payment worker, not started.
    pub(super) fn third_worker(&self) -> anyhow::Result<Node> {
        let folder = self.stack.folder().join("nodes");
        self.node("worker-3", WORKER_ROLES, &folder)
    }

    pub(super) fn target(&self) -> Target {
        Target {
            bases: self.fronts.iter().map(|node| format!("http://{}", node.listen)).collect(),
            admin: (ADMIN.0.to_owned(), ADMIN.1.to_owned()),
            tidegate: self.tidegate.clone(),
            connections: CONNECTIONS,
            one_node: false,
            admins: self.nodes().map(|node| format!("http://{}", node.admin)).collect(),
            logs: self.nodes().map(|node| node.log.clone()).collect(),
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.fronts.iter().chain(&self.workers)
    }

    /// Everything on the booking log.
    pub(super) async fn messages(&self) -> anyhow::Result<Vec<TopicMessage>> {
        Log::new(self.stack.address("KAFKA_PORT")?, &self.prefix).read_all().await
    }

    /// Drains all nodes; one that does not end well is an error.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        for node in self.fronts.into_iter().chain(self.workers) {
            if let Some(server) = node.server {
                server.stop().await.with_context(|| node.log.display().to_string())?;
            }
        }
        self.gateway.kill().await?;
        self.books.remove().await
    }

    fn node(&self, name: &str, roles: &'static str, folder: &Path) -> anyhow::Result<Node> {
        Ok(Node {
            roles,
            listen: format!("127.0.0.1:{}", free_port()?),
            admin: format!("127.0.0.1:{}", free_port()?),
            tidegate: self.tidegate.with(folder.join(name), &[]),
            log: folder.join(format!("{name}.log")),
            server: None,
        })
    }
}

impl Node {
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let mut command = self.tidegate.command();
        command.args(["serve", "--no-limits", "--roles", self.roles]);
        command.args(["--listen", &self.listen, "--admin-listen", &self.admin]);
        command.stderr(log.context("opening a node's log")?);
        let started = Server::start(command, "tidegate ready: ").await;
        self.server = Some(started.with_context(|| self.log.display().to_string())?);
        Ok(())
    }

    /// kill -9.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.server.take().context("the node is not running")?.kill().await
    }

    /// Leaves the sale in good order.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        self.server.take().context("the node is not running")?.stop().await
    }
}

/// Where one sale keeps what.
struct Stores<'a> {
    stack: &'a Stack,
    fault: Fault,
    name: &'a str,
    prefix: &'a str,
}

impl Stores<'_> {
    async fn environment(
        &self,
        cutter: Option<&Cutter>,
        gateway: &str,
        folder: &Path,
    ) -> anyhow::Result<Vec<(&'static str, String)>> {
        let stack = self.stack;
        let fast = if self.fault == Fault::RedisClusterFailover {
            stack.up(&["redis-cluster"]).await?;
            redis::cluster_url(stack)?
        } else {
            let address = stack.address("REDIS_PORT")?;
            redis::ask(stack.port("REDIS_PORT")?, &["flushall"]).await?;
            format!("redis://{address}")
        };
        let postgres = cutter.map_or(stack.address("POSTGRES_PORT")?, Cutter::address);
        let name = self.name;
        Ok(vec![
            ("TIDEGATE_STORES_QUEUE", fast.clone()),
            ("TIDEGATE_STORES_SEATS", fast),
            ("TIDEGATE_STORES_BOOKINGS", format!("kafka://{}", stack.address("KAFKA_PORT")?)),
            ("TIDEGATE_STORES_BOOKS", format!("postgres://tidegate@{postgres}/{name}")),
            (
                "TIDEGATE_STORES_VIEWS",
                format!("scylla://{}/tidegate", stack.address("CASSANDRA_PORT")?),
            ),
            ("TIDEGATE_LEDGER_KAFKA_NAME_PREFIX", self.prefix.to_owned()),
            ("TIDEGATE_PAYMENT_GATEWAY", gateway.to_owned()),
            ("TIDEGATE_KEYS_FILE", folder.join("keys.json").display().to_string()),
            (ADMIN_USERNAME, ADMIN.0.to_owned()),
            (ADMIN_PASSWORD, ADMIN.1.to_owned()),
        ])
    }
}

async fn start_gateway(tidegate: &Tidegate, fault: Fault, folder: &Path) -> anyhow::Result<Server> {
    let log = std::fs::File::create(folder.join("gateway.log"));
    let mut command = tidegate.with(folder.join("gateway"), &[]).command();
    let simulate = format!("latency_ms={}&unknown=0.02&duplicate=0.02", fault.gateway_latency_ms());
    command.args(["gateway", "--listen", "127.0.0.1:0", "--simulate", &simulate]);
    command.stderr(log.context("opening the gateway's log")?);
    Server::start(command, "tidegate gateway ready: ").await
}
