//! Forgets the answers to keyed requests once nobody may ask for them again.
use ledger::books::Requests;
use ledger::{Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Answers are kept for hours; a minute more or less changes nothing.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(super) struct RequestKeeper {
    pub(super) requests: Arc<dyn Requests>,
    pub(super) clock: Clock,
    pub(super) keep_seconds: u32,
}

impl RequestKeeper {
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = shutdown.cancelled() => return,
            }
            match self.requests.expire(self.oldest()).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot the answers to old requests"),
                Err(error) => tracing::warn!(%error, "old requests could not be forgotten"),
            }
        }
    }

    fn oldest(&self) -> Timestamp {
        self.clock.now().plus_millis(-i64::from(self.keep_seconds) * 1_000)
    }
}
