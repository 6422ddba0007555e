//! pgbench, as Debian has it.
use super::database::Server;
use super::recording::Said;
use super::script::script;
use crate::operator::Scratch;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

pub(super) const SINGLE_CLIENTS: usize = 20;

/// One booking in one row, as a simple system would write it.
const SINGLE_TABLE: &str = "CREATE TABLE single (id uuid PRIMARY KEY, event_id text NOT NULL,
    account_id text NOT NULL, seat text NOT NULL, status text NOT NULL, minor bigint NOT NULL,
    currency text NOT NULL, at bigint NOT NULL)";
const SINGLE_INSERT: &str = "\\set seat random(1, 1000000)
INSERT INTO single VALUES (gen_random_uuid(), 'evt_01JZ8A7Y5N3K2M', 'acc_01JZ8A7Y5N3K2M',
    'stalls-' || :seat, 'confirmed', 7500, 'EUR', 1767225600000);
";

pub(super) struct Pgbench {
    program: PathBuf,
    scratch: Scratch,
}

impl Pgbench {
    pub(super) fn new(program: Option<PathBuf>) -> anyhow::Result<Self> {
        let program = program.or_else(newest).context("no pgbench was found, see --pgbench")?;
        Ok(Self { program, scratch: Scratch::new("settle")? })
    }

    pub(super) fn write_script(&self, said: &[Said]) -> anyhow::Result<()> {
        std::fs::write(self.script(), script(said)?).context("keeping the recorded statements")
    }

    /// Says what was recorded, each client its part once; how long it took without connecting.
    pub(super) async fn replay(&self, url: &str, clients: usize) -> anyhow::Result<Duration> {
        let script = self.script();
        let tps = self.run(url, &script, clients, &["-t", "1"]).await?;
        Ok(Duration::from_secs_f64(clients as f64 / tps))
    }

    /// Rows a second, one a transaction.
    pub(super) async fn insert(
        &self,
        server: &Server,
        database: &str,
        seconds: u64,
    ) -> anyhow::Result<f64> {
        server.execute_in(database, SINGLE_TABLE.to_owned()).await?;
        let script = self.scratch.path().join("single.sql");
        std::fs::write(&script, SINGLE_INSERT).context("keeping the insert")?;
        let seconds = seconds.to_string();
        let how = ["-M", "prepared", "-T", &seconds];
        self.run(&server.url(database), &script, SINGLE_CLIENTS, &how).await
    }

    fn script(&self) -> PathBuf {
        self.scratch.path().join("recorded.sql")
    }

    async fn run(
        &self,
        url: &str,
        script: &Path,
        clients: usize,
        how: &[&str],
    ) -> anyhow::Result<f64> {
        let threads = clients.min(2).to_string();
        let mut command = Command::new(&self.program);
        command.args(["-n", "-c", &clients.to_string(), "-j", &threads]).args(how);
        command.arg("-f").arg(script).arg(url).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("running pgbench")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match tps(&text) {
            Some(tps) if output.status.success() => Ok(tps),
            _ => bail!("pgbench: {}{text}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

/// "tps = 12.34 (without initial connection time)"; with failed transactions it counts for
/// nothing.
fn tps(text: &str) -> Option<f64> {
    if !text.lines().any(|line| line.starts_with("number of failed transactions: 0 ")) {
        return None;
    }
    let line = text.lines().find(|line| line.starts_with("tps = "))?;
    line.split_whitespace().nth(2)?.parse().ok()
}

fn newest() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin/pgbench")));
    programs.filter(|program| program.is_file()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_where_nothing_failed() {
        let said = |failed: &str| {
            format!("number of failed transactions: {failed}\ntps = 1.5 (without initial …)\n")
        };
        assert_eq!(tps(&said("0 (0.000%)")), Some(1.5));
        assert_eq!(tps(&said("1 (0.500%)")), None);
        assert_eq!(tps("pgbench: error"), None);
    }
}
