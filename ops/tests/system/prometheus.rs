//! A real Prometheus that watches one node by the rules of `ops/monitoring`, in a hurry.
use crate::harness::{Client, Node, PATIENCE};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What stands for every minute and hour in rules and dashboards.
const HURRY: &str = "5s";

/// A Prometheus and the exporter of this machine's metrics; they end with it.
pub(crate) struct Prometheus {
    api: Client,
    folder: TempDir,
    _children: [Child; 2],
}

impl Prometheus {
    /// Scrapes a node twice a second, and is ready.
    pub(crate) async fn watching(node: &Node) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (own, machine) = (free_address(), free_address());
        let rules = std::fs::read_to_string(monitoring().join("rules.yml")).unwrap();
        std::fs::write(folder.path().join("rules.yml"), hurried(&rules)).unwrap();
        let target = node.admin.strip_prefix("http://").unwrap();
        let settings = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
             rule_files: [rules.yml]\n\
             scrape_configs:\n\
             - {{job_name: tidegate, static_configs: [{{targets: [{target:?}]}}]}}\n\
             - {{job_name: node-exporter, static_configs: [{{targets: [{machine:?}]}}]}}\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, settings).unwrap();
        let exporter = started("prometheus-node-exporter", |command| {
            command.arg(format!("--web.listen-address={machine}"));
            for collector in ["disable-defaults", "filesystem", "textfile", "timex"] {
                command.arg(format!("--collector.{collector}"));
            }
            let texts = format!("--collector.textfile.directory={}", folder.path().display());
            command.arg(texts);
        });
        let server = started("prometheus", |command| {
            command.arg(format!("--config.file={}", file.display()));
            command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
            command.arg(format!("--web.listen-address={own}")).arg("--log.level=error");
        });
        let api = Client::new(&format!("http://{own}"));
        let prometheus = Self { api, folder, _children: [exporter, server] };
        prometheus.until("up{job=\"tidegate\"} == 1").await;
        prometheus
    }

    /// The folder whose `*.prom` files are scraped as well.
    pub(crate) fn texts(&self) -> &Path {
        self.folder.path()
    }

    /// The series that an expression of a rule or a dashboard comes to.
    pub(crate) async fn series(&self, expression: &str) -> Vec<Value> {
        let asked = expression.replace("$__rate_interval", HURRY).replace("$instance", ".*");
        let path = format!("/api/v1/query?query={}", escaped(&asked));
        let answer = self.api.get(&path).await.expect(200);
        answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{asked}: {answer}")).clone()
    }

    /// Waits until an expression has a series.
    pub(crate) async fn until(&self, expression: &str) {
        let asked = format!("/api/v1/query?query={}", escaped(expression));
        let look = async {
            loop {
                let answer = self.api.try_send(http::Method::GET, &asked, None).await;
                let has = |answer: Value| answer["data"]["result"].get(0).is_some();
                if answer.is_ok_and(|answer| answer.status == 200 && has(answer.json())) {
                    return;
                }
                // Nothing changes between two scrapes.
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("nothing for {expression}"));
    }

    /// Every alert's name and expression, and whether it fires.
    pub(crate) async fn alerts(&self) -> Vec<(String, String, bool)> {
        let rules = self.api.get("/api/v1/rules?type=alert").await.expect(200);
        let groups = rules["data"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let text = |rule: &Value, key: &str| rule[key].as_str().unwrap().to_owned();
        rules.map(|r| (text(r, "name"), text(r, "query"), r["state"] == "firing")).collect()
    }

    /// The names of the alerts that fire.
    pub(crate) async fn firing(&self) -> BTreeSet<String> {
        let alerts = self.alerts().await;
        alerts.into_iter().filter(|(.., fires)| *fires).map(|(name, ..)| name).collect()
    }
}

pub(crate) fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring")
}

/// The same rules, but what takes minutes takes seconds, and nothing waits before it fires.
fn hurried(rules: &str) -> String {
    let waits = |line: &&str| !line.trim_start().starts_with("for: ");
    let mut text = rules.lines().filter(waits).collect::<Vec<_>>().join("\n");
    for long in ["1m", "5m", "1h"] {
        text = text.replace(&format!("[{long}]"), &format!("[{HURRY}]"));
        text = text.replace(&format!("offset {long}"), &format!("offset {HURRY}"));
    }
    text
}

fn started(program: &str, arguments: impl FnOnce(&mut Command)) -> Child {
    let mut command = Command::new(program);
    arguments(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}; `ops/dev/up prometheus` installs it"))
}

/// Nobody listens there now.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        // Writing to a string cannot fail.
        let _ = write!(escaped, "%{byte:02X}");
        escaped
    })
}
