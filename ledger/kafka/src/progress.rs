//! When a broker last acknowledged something.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The time since the last acknowledgement, kept without a lock: every delivery report sets it.
pub(super) struct Progress {
    started: Instant,
    /// Milliseconds from `started` to the last acknowledgement.
    acknowledged_ms: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), acknowledged_ms: AtomicU64::new(0) }
    }

    pub(super) fn acknowledged(&self) {
        self.acknowledged_ms.store(self.now_ms(), Ordering::Release);
    }

    /// How long nothing has been acknowledged.
    pub(super) fn idle(&self) -> Duration {
        let acknowledged = self.acknowledged_ms.load(Ordering::Acquire);
        Duration::from_millis(self.now_ms().saturating_sub(acknowledged))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
