//! A sale on the shared servers: its own database, topics, keyspace and gateway, and any number of
//! nodes.
use crate::harness::{Node, PATIENCE, minted, tidegate, verb};
use crate::servers::TestServers;
use redis_client::testing as redis;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

/// Tables are made slowly while many tests make theirs; topics are many on one small broker.
const BOUNDS: &str = r#"
[ledger.kafka]
name_prefix = "PREFIX"
bookings_partitions = 2
outcomes_partitions = 2
session_timeout_ms = 6000
[ledger.scylla]
request_timeout_ms = 60000
connect_timeout_ms = 60000
[ledger.postgres]
connections_max = 12
acquire_timeout_ms = 20000
"#;

/// Where queues and seats are.
#[derive(Clone, Copy)]
pub(crate) enum Fast {
    /// In the one node.
    Local,
    Redis,
    Cluster,
}

/// A sale on the shared servers.
pub(crate) struct SharedSale {
    servers: TestServers,
    folder: TempDir,
    gateway: Child,
    config: PathBuf,
}

impl SharedSale {
    /// Everything but the nodes.
    pub(crate) async fn prepare(fast: Fast) -> Self {
        let servers = TestServers::new().await;
        let fast = match fast {
            Fast::Local => "local:".to_owned(),
            Fast::Redis => redis::single(),
            Fast::Cluster => redis::cluster(),
        };
        let folder = tempfile::tempdir().unwrap();
        let (gateway, address) = gateway(&folder.path().join("gateway")).await;
        let config = folder.path().join("sale.toml");
        let bounds = BOUNDS.replace("PREFIX", &servers.prefix);
        let text = format!(
            "[stores]\nqueue = {fast:?}\nseats = {fast:?}\nbookings = {:?}\nbooks = {:?}\nviews = {:?}\n\
             [payment]\ngateway = {address:?}\n[keys]\nfile = \"keys.json\"\n{bounds}",
            servers.bookings, servers.books, servers.views,
        );
        std::fs::write(&config, text).unwrap();
        let sale = Self { servers, folder, gateway, config };
        let made = sale.verb(&["keys", "make"]).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        sale
    }

    /// The data folder of one node.
    pub(crate) fn data(&self, node: &str) -> PathBuf {
        self.folder.path().join(node)
    }

    pub(crate) async fn node(&self, name: &str) -> Node {
        Node::start(&self.data(name), &["--no-limits", "--config", self.config()]).await
    }

    /// A node whose way to a store is another one than the configuration's.
    pub(crate) async fn node_by(&self, name: &str, variables: &[(&str, &str)]) -> Node {
        let (data, config) = (self.data(name), self.config());
        let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let arguments = [["serve", "--no-limits", "--config", config], ports].concat();
        let mut command = tidegate(&data, &arguments);
        command.envs(variables.iter().copied());
        Node::run(command).await
    }

    /// Runs a verb beside the nodes.
    pub(crate) async fn verb(&self, arguments: &[&str]) -> Output {
        verb(&self.data("operator"), &[arguments, &["--config", self.config()]].concat()).await
    }

    pub(crate) async fn mint(&self, count: usize) -> Vec<String> {
        let output = self.verb(&["account", "mint", "--count", &count.to_string()]).await;
        minted(&output, count)
    }

    /// The audit must hold, and must have looked at something.
    pub(crate) async fn assert_audit_holds(&self) {
        crate::harness::assert_held(&self.verb(&["audit"]).await);
    }

    /// As [`Self::assert_audit_holds`], where people were admitted and nothing was sold.
    pub(crate) async fn assert_queue_audit_holds(&self) {
        crate::harness::assert_queue_held(&self.verb(&["audit"]).await);
    }

    /// Takes everything away.
    pub(crate) async fn remove(mut self) {
        self.gateway.kill().await.unwrap();
        self.servers.remove().await;
    }

    pub(crate) fn config(&self) -> &str {
        self.config.to_str().unwrap()
    }

    pub(crate) fn servers(&self) -> &TestServers {
        &self.servers
    }
}

/// A gateway of this sale alone: the audit counts every charge that it has taken.
pub(crate) async fn gateway(data: &Path) -> (Child, String) {
    let mut command = tidegate(data, &["gateway", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.expect("the gateway says it is ready");
    let line = line.unwrap().expect("the gateway runs");
    let address = line.strip_prefix("tidegate gateway ready: ").expect("the ready line");
    (child, address.to_owned())
}
