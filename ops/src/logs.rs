//! Logs go to stderr: lines for people on a terminal, JSON for machines elsewhere.
use anyhow::Context;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging at `level` (`info`, or a filter such as `info,ingress=debug`).
pub(crate) fn start(level: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level)
        .with_context(|| format!("log.level {level:?} is not a filter such as \"info\""))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        builder.compact().try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(true).try_init()
    };
    started.map_err(|e| anyhow::anyhow!("starting the logs: {e}"))
}
