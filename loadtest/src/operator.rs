//! The `tidegate` executable beside this one, run as an operator runs it.
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a server may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a server that drains may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
/// How long a verb may take: half a million accounts, an audit of as many bookings.
const VERB_WITHIN: Duration = Duration::from_secs(600);

/// Names of the variables with the first admin's credentials.
pub(crate) const ADMIN_USERNAME: &str = "TIDEGATE_ADMIN_USERNAME";
pub(crate) const ADMIN_PASSWORD: &str = "TIDEGATE_ADMIN_PASSWORD";

/// The executable, and the folder and file that it is told to use.
#[derive(Debug, Clone)]
pub(crate) struct Tidegate {
    program: PathBuf,
    data: Option<PathBuf>,
    config: Option<PathBuf>,
    environment: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuditVerdict {
    Held,
    Broken,
    NotChecked,
}

/// One invariant, as `tidegate audit --json` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct AuditLine {
    pub(crate) invariant: String,
    pub(crate) verdict: AuditVerdict,
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) checked: u64,
}

/// A server process of ours, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) base: String,
}

impl Tidegate {
    pub(crate) fn beside_us(
        data: Option<PathBuf>,
        config: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let ours = std::env::current_exe().context("finding our own executable")?;
        let program = ours.with_file_name(format!("tidegate{}", std::env::consts::EXE_SUFFIX));
        if !program.is_file() {
            bail!("there is no {}; build the ops crate first", program.display());
        }
        Ok(Self { program, data, config, environment: Vec::new() })
    }

    /// The same executable with another folder and more in its environment.
    pub(crate) fn with(&self, data: PathBuf, environment: &[(&str, &str)]) -> Self {
        let more = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let environment = self.environment.iter().cloned().chain(more).collect();
        Self { data: Some(data), environment, ..self.clone() }
    }

    /// Makes the keys file that the environment names.
    pub(crate) async fn make_keys(&self) -> anyhow::Result<()> {
        let mut command = self.command();
        command.args(["keys", "make"]);
        let output = finish(command).await.context("making keys")?;
        if !output.status.success() {
            bail!("`tidegate keys make` ended with {}", output.status);
        }
        Ok(())
    }

    /// Makes accounts; a login token each.
    pub(crate) async fn mint(&self, count: u32, prefix: &str) -> anyhow::Result<Vec<String>> {
        let count_text = count.to_string();
        let mut command = self.command();
        command.args(["account", "mint", "--count", &count_text, "--prefix", prefix]);
        let output = finish(command).await.context("minting accounts")?;
        if !output.status.success() {
            bail!("`tidegate account mint` ended with {}", output.status);
        }
        let text = String::from_utf8(output.stdout).context("reading the minted tokens")?;
        let tokens: Vec<String> = text.lines().map(str::to_owned).collect();
        if tokens.len() != count as usize {
            bail!("{} tokens were minted, not {count}", tokens.len());
        }
        Ok(tokens)
    }

    /// Asks the stores; a broken invariant is an answer, not an error.
    pub(crate) async fn audit(&self) -> anyhow::Result<Vec<AuditLine>> {
        #[derive(Deserialize)]
        struct Document {
            invariants: Vec<AuditLine>,
        }
        let mut command = self.command();
        command.args(["audit", "--json"]);
        let output = finish(command).await.context("running the audit")?;
        let document: Document = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`tidegate audit` ended with {}", output.status))?;
        Ok(document.invariants)
    }

    /// The configuration's numbers, by key.
    pub(crate) async fn limits(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut command = self.command();
        command.arg("config");
        let output = finish(command).await.context("reading the configuration")?;
        if !output.status.success() {
            bail!("`tidegate config` ended with {}", output.status);
        }
        let text = String::from_utf8(output.stdout).context("reading the configuration")?;
        Ok(numbers(&text))
    }

    /// Starts a server on free ports, with `environment` on top of ours.
    pub(crate) async fn serve(&self, environment: &[(&str, &str)]) -> anyhow::Result<Server> {
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.arg("--no-limits").envs(environment.iter().copied());
        // Logs would cost the server's time, which is what is measured.
        command.env("TIDEGATE_LOG_LEVEL", "error");
        Server::start(command, "tidegate ready: ").await
    }

    /// One of its verbs, to be run as a process.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        for (flag, path) in [("--data", &self.data), ("--config", &self.config)] {
            if let Some(path) = path {
                command.arg(flag).arg(path);
            }
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

impl Server {
    /// Starts a process and waits for the line that says where it listens.
    pub(crate) async fn start(mut command: Command, says: &str) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdout = child.stdout.take().context("the child's stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = timeout(READY_WITHIN, lines.next_line()).await;
        let line = first.context("the server is not ready")?.context("reading its first line")?;
        let line = line.context("the server ended before it was ready")?;
        let base = line.strip_prefix(says).and_then(|rest| rest.split_whitespace().next());
        let base = base.with_context(|| format!("{line:?} does not say where it listens"))?;
        Ok(Self { base: base.to_owned(), child })
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server has ended")
    }

    /// kill -9, and waits until it is gone.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing a server")
    }

    /// Asks it to end and waits until it has; an unclean end is an error.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let ended = timeout(STOPPED_WITHIN, self.child.wait()).await;
        let status = ended.context("the server does not stop")?.context("stopping a server")?;
        if !status.success() {
            bail!("a server that was asked to stop ended with {status}");
        }
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process id that is none")?, signal).context("sending a signal")
    }
}

/// The lines of `tidegate config` whose value is a number: `key = 12  # default`.
fn numbers(text: &str) -> BTreeMap<String, u64> {
    let pairs = text.lines().filter_map(|line| {
        let (key, rest) = line.split_once(" = ")?;
        Some((key.to_owned(), rest.split_whitespace().next()?.parse().ok()?))
    });
    pairs.collect()
}

/// Runs a verb to its end.
async fn finish(mut command: Command) -> anyhow::Result<Output> {
    let output = timeout(VERB_WITHIN, command.stderr(Stdio::inherit()).output()).await;
    Ok(output.with_context(|| format!("{command:?} takes longer than {VERB_WITHIN:?}"))??)
}

/// Our own executable, to run one of its verbs as a process of its own.
pub(crate) fn ourselves() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("finding our own executable")?))
}

/// A port that was free a moment ago: what comes back after a fault comes back to the same one.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    Ok(socket.local_addr().context("finding a free port")?.port())
}

/// Where `ops/dev` keeps what it fetched.
#[expect(clippy::disallowed_methods, reason = "the load test reads its environment once, here")]
pub(crate) fn dev_cache() -> Option<PathBuf> {
    if let Ok(cache) = std::env::var("TIDEGATE_DEV_CACHE") {
        return Some(cache.into());
    }
    Some(Path::new(&std::env::var("HOME").ok()?).join(".cache/tidegate-dev"))
}

/// A folder of our own under the system's temporary one, removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder left behind is the worst that can come of it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
