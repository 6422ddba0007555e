//! What ends a node: a signal, a store that failed for good, or a loop that ended by itself.
use anyhow::{Context, anyhow};
use std::future::Future;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// SIGTERM and SIGINT, heard from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for a signal to stop; a second one ends the process at once.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.wait(Vec::new(), std::future::pending()).await
    }

    /// Waits for what ends a node. `Ok` for a signal.
    pub(super) async fn wait(
        mut self,
        fatal: Vec<watch::Receiver<Option<String>>>,
        loop_ended: impl Future<Output = String>,
    ) -> anyhow::Result<()> {
        let ended = tokio::select! {
            _ = self.terminate.recv() => Ok("SIGTERM"),
            _ = self.interrupt.recv() => Ok("SIGINT"),
            detail = first_failure(fatal) => {
                Err(anyhow!("the database can no longer be written: {detail}"))
            }
            name = loop_ended => Err(anyhow!("the {name} loop ended by itself")),
        };
        exit_on_second(self.terminate, self.interrupt);
        ended.map(|name| tracing::info!(signal = name, "draining"))
    }
}

/// Waits until one of the stores has failed for good.
async fn first_failure(fatal: Vec<watch::Receiver<Option<String>>>) -> String {
    let waits = fatal.into_iter().map(|mut store| {
        Box::pin(async move {
            let failed = store.wait_for(Option::is_some).await;
            let detail = failed.ok().and_then(|detail| detail.clone());
            detail.unwrap_or_else(|| "its writer ended".to_owned())
        })
    });
    let waits: Vec<_> = waits.collect();
    if waits.is_empty() {
        return std::future::pending().await;
    }
    futures_util::future::select_all(waits).await.0
}

/// From now on a signal means now. The task is never waited for: it outlives everything else.
#[expect(clippy::disallowed_methods, reason = "a second signal must not wait for any shutdown")]
fn exit_on_second(mut terminate: Signal, mut interrupt: Signal) {
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    });
}
