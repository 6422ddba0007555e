//! The servers to be broken: a development stack of our own, by the scripts under `ops/dev`.
use anyhow::{Context, bail};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than the scripts' own patience, and than fetching what is missing.
const SCRIPT_WITHIN: Duration = Duration::from_secs(900);

pub(super) struct Stack {
    scripts: PathBuf,
    folder: PathBuf,
    shift: u16,
    ports: HashMap<String, u16>,
}

impl Stack {
    pub(super) fn new(scripts: &Path, folder: &Path, shift: u16) -> anyhow::Result<Self> {
        let file = scripts.join("ports");
        let text = std::fs::read_to_string(&file);
        let text = text.with_context(|| format!("reading {}", file.display()))?;
        let ports = ports(&text, shift);
        let (scripts, folder) = (scripts.to_owned(), folder.to_owned());
        Ok(Self { scripts, folder, shift, ports })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A port by its name in `ops/dev/ports`.
    pub(super) fn port(&self, name: &str) -> anyhow::Result<u16> {
        self.ports.get(name).copied().with_context(|| format!("ops/dev/ports has no {name}"))
    }

    /// HOST:PORT of a server by the name of its port.
    pub(super) fn address(&self, name: &str) -> anyhow::Result<String> {
        Ok(format!("127.0.0.1:{}", self.port(name)?))
    }

    pub(super) async fn up(&self, names: &[&str]) -> anyhow::Result<()> {
        self.run("up", names).await
    }

    pub(super) async fn restart(&self, name: &str) -> anyhow::Result<()> {
        self.run("restart", &[name]).await
    }

    /// kill -9.
    pub(super) async fn kill(&self, name: &str) -> anyhow::Result<()> {
        self.run("kill", &[name]).await
    }

    /// Takes all of it away.
    pub(super) async fn down(&self) -> anyhow::Result<()> {
        self.run("down", &[]).await
    }

    async fn run(&self, script: &str, names: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(self.scripts.join(script));
        command.args(names).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("TIDEGATE_DEV_DIR", &self.folder);
        command.env("TIDEGATE_DEV_SHIFT", self.shift.to_string());
        let ended = timeout(SCRIPT_WITHIN, command.status()).await;
        let status = ended.context("a script of ops/dev hangs")?.context("running ops/dev")?;
        if !status.success() {
            bail!("ops/dev/{script} {} ended with {status}", names.join(" "));
        }
        Ok(())
    }
}

fn ports(text: &str, shift: u16) -> HashMap<String, u16> {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let ports = lines.filter_map(|(name, port)| {
        Some((name.to_owned(), port.trim().parse::<u16>().ok()?.checked_add(shift)?))
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_and_shifted() {
        let ports = ports("# a = b\n\nREDIS_PORT=16379\nKAFKA_PORT=19092\n", 2_000);
        assert_eq!(ports["REDIS_PORT"], 18_379);
        assert_eq!((ports["KAFKA_PORT"], ports.len()), (21_092, 2));
    }
}
