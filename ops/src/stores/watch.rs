//! Whether the servers answer: asked again and again, so that readiness tells when one is away.
use crate::admin::Readiness;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use ledger::StoreError;
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How to ask one store whether it answers.
pub(crate) struct Probe {
    /// The key under `[stores]`.
    pub(super) store: &'static str,
    ask: Box<dyn Fn() -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync>,
}

impl Probe {
    pub(super) fn new<F>(store: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        Self { store, ask: Box::new(move || ask().boxed()) }
    }
}

/// Tells readiness which stores are away.
pub(crate) struct StoreWatch {
    pub(crate) probes: Vec<Probe>,
    pub(crate) interval: Duration,
    /// Who takes longer to answer is away.
    pub(crate) patience: Duration,
    pub(crate) readiness: Readiness,
}

impl StoreWatch {
    /// Asks until told to stop.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut away = Vec::new();
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            let Some(now) = shutdown.run_until_cancelled(self.away()).await else { return };
            for store in now.iter().filter(|store| !away.contains(*store)) {
                tracing::warn!(store, "a store is away");
            }
            for store in away.iter().filter(|store| !now.contains(store)) {
                tracing::info!(store, "a store is back");
            }
            if now != away {
                self.readiness.set_away(now.clone());
                away = now;
            }
        }
    }

    async fn away(&self) -> Vec<&'static str> {
        let asked = self.probes.iter().map(|probe| async {
            let answer = timeout(self.patience, (probe.ask)()).await;
            let answers = match answer {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    let store = probe.store;
                    tracing::debug!(store, error = &error as &dyn std::error::Error, "no answer");
                    false
                }
                Err(_) => false,
            };
            (!answers).then_some(probe.store)
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}
