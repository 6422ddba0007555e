//! Kafka's own ProducerPerformance on the same topic and payloads, as a figure beside.
use super::super::{Flags, cpu};
use super::topic;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Longest wait for it.
const WITHIN: Duration = Duration::from_secs(300);
/// It gets so many times what the bare loop sent in one part, so that its start weighs less.
const PARTS: u64 = 3;

/// One line about it, also when it is not there.
pub(super) async fn performance(
    flags: &Flags,
    prefix: &str,
    payloads: &Path,
    sent: u64,
) -> anyhow::Result<String> {
    let Some(jars) = flags.produce.kafka_jars.clone().or_else(newest_jars) else {
        return Ok("ProducerPerformance: no jars found, see --kafka-jars".to_owned());
    };
    let records = (sent * PARTS).max(1_000);
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"]);
    command.arg(jars.join("*")).arg("org.apache.kafka.tools.ProducerPerformance");
    command.args(["--bootstrap-server", &flags.produce.kafka, "--topic", &topic(prefix)]);
    command.args(["--num-records", &records.to_string(), "--throughput", "-1"]);
    command.arg("--payload-file").arg(payloads);
    command.args(["--command-property", "acks=all", "enable.idempotence=true"]);
    command.args(["compression.type=lz4", "linger.ms=5"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let before = cpu::used_by_ended_children()?;
    let output = match timeout(WITHIN, command.output()).await.context("ProducerPerformance")? {
        Ok(output) => output,
        Err(error) => return Ok(format!("ProducerPerformance: cannot be started: {error}")),
    };
    let cpu = cpu::used_by_ended_children()?.saturating_sub(before);
    if !output.status.success() {
        bail!("ProducerPerformance: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rfind(|line| line.contains("records/sec")).unwrap_or_default();
    let per_cpu = records as f64 / cpu.as_secs_f64().max(f64::MIN_POSITIVE);
    Ok(format!(
        "Kafka's ProducerPerformance (payload only, no key, no headers; start-up included): \
         {per_cpu:.0} msg/cpu-s; it says: {}",
        last.split(',').take(2).collect::<Vec<_>>().join(",")
    ))
}

/// Where `ops/dev` keeps them.
fn newest_jars() -> Option<PathBuf> {
    let cache = crate::operator::dev_cache()?;
    let folders = std::fs::read_dir(cache).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_kafka = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kafka-"))
    };
    folders.filter(is_kafka).max()
}
