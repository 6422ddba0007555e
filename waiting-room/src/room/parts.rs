//! What a waiting room is made of.
use crate::store::QueueStore;
use crate::{Config, Pressures};
use ledger::Clock;
use ledger::books::{Admissions, QueueProgress, Queues};
use ledger::keys::Keyring;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

/// What a waiting room is made of.
#[derive(Clone)]
pub struct Parts {
    pub store: Arc<dyn QueueStore>,
    pub progress: Arc<dyn QueueProgress>,
    pub admissions: Arc<dyn Admissions>,
    pub queues: Arc<dyn Queues>,
    pub keys: Keyring,
    pub clock: Clock,
    pub config: Config,
    /// What the stages behind feel.
    pub pressure: watch::Receiver<Pressures>,
}

/// How many queues that nobody asks for are looked at in a second, however many there are.
const IDLE_LOOKS_PER_SECOND: u64 = 200;

/// What goes on beside the calls.
#[derive(Clone, Default)]
pub(crate) struct Background {
    /// Rung when a line may move: a slot ended, somebody joined, settings changed.
    pub(crate) pace: Arc<Notify>,
    /// Joins, leases and commits that no caller waits for.
    pub(crate) tasks: TaskTracker,
    /// Queues that this node has opened.
    pub(crate) open: Arc<AtomicU64>,
}

impl Background {
    /// How often a queue that nobody asks for is looked at: at the least interval, or as seldom as
    /// it takes so that many queues cost no more than a few.
    pub(crate) fn idle_interval(&self, least: Duration) -> Duration {
        let open = self.open.load(Ordering::Relaxed);
        least.max(Duration::from_millis(open.saturating_mul(1_000) / IDLE_LOOKS_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_idle_queues_are_looked_at_no_oftener_than_two_hundred() {
        let background = Background::default();
        let second = Duration::from_secs(1);
        for (open, seconds) in [(0, 1), (1, 1), (200, 1), (2_000, 10), (10_000, 50)] {
            background.open.store(open, Ordering::Relaxed);
            assert_eq!(background.idle_interval(second), Duration::from_secs(seconds), "{open}");
        }
    }
}
