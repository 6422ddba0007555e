//! What is known of the brokers: whether one can be reached, and when one last acknowledged.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// How long everybody is refused between two looks for a broker that is away.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the producer's callbacks and looks have found out.
pub(super) struct Health {
    started: Instant,
    /// Milliseconds from `started` to the last acknowledgement.
    progress_ms: AtomicU64,
    /// How often all brokers went away.
    losses: AtomicU64,
    /// So many of those are over.
    recovered: AtomicU64,
    /// When to look again while all are away.
    look_at: Mutex<Option<Instant>>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            progress_ms: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            recovered: AtomicU64::new(0),
            look_at: Mutex::new(None),
        }
    }

    /// True while no broker can be reached, as far as is known.
    pub(super) fn is_down(&self) -> bool {
        self.losses() > self.recovered.load(Ordering::Acquire)
    }

    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    pub(super) fn lost(&self) {
        self.losses.fetch_add(1, Ordering::AcqRel);
    }

    /// A broker answered: what was lost before `losses` was counted is over, but not what has been
    /// lost since.
    pub(super) fn answered(&self, losses: u64) {
        self.recovered.fetch_max(losses, Ordering::AcqRel);
    }

    /// The right to look for a broker, for one caller at a time and not too often.
    pub(super) fn may_look(&self, now: Instant) -> Option<MutexGuard<'_, Option<Instant>>> {
        let mut look_at = self.look_at.try_lock().ok()?;
        if look_at.is_some_and(|at| now < at) {
            return None;
        }
        *look_at = now.checked_add(LOOK_EVERY);
        Some(look_at)
    }

    pub(super) fn progressed(&self) {
        self.progress_ms.store(self.now_ms(), Ordering::Release);
    }

    /// How long nothing has been acknowledged.
    pub(super) fn idle(&self) -> Duration {
        let progress = self.progress_ms.load(Ordering::Acquire);
        Duration::from_millis(self.now_ms().saturating_sub(progress))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_the_losses_before_it_and_none_after() {
        let health = Health::new();
        assert!(!health.is_down());
        health.lost();
        let asked = health.losses();
        health.lost();
        health.answered(asked);
        assert!(health.is_down(), "lost again while it was asked");
        health.answered(health.losses());
        assert!(!health.is_down());
    }

    #[test]
    fn one_looks_at_a_time_and_not_too_often() {
        let (health, now) = (Health::new(), Instant::now());
        let later = now.checked_add(LOOK_EVERY).unwrap();
        let first = health.may_look(now);
        assert!(first.is_some() && health.may_look(later).is_none());
        drop(first);
        assert!(health.may_look(now).is_none());
        assert!(health.may_look(later).is_some());
    }
}
