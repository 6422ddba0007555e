//! Leases: numbers are taken ahead in `Books`, about a second's worth, before they are given.
use super::parts::Background;
use super::queue_copy::QueueCopy;
use crate::metrics::LEASES_TOTAL;
use crate::store::Reserve;
use crate::{Error, Parts};
use ledger::books::{Leased, QueueProgress};
use ledger::{Timestamp, lock};
use metrics::counter;
use std::sync::Arc;
use std::sync::Mutex;
use tokio_util::task::TaskTracker;

/// The next lease is taken when the numbers left last for one 32nd of a second: longer than a
/// commit takes, and no more than so many are in doubt as to whether anyone has them after a loss.
const AHEAD_SHARE: u64 = 32;

/// Keeps one queue in numbers to give.
pub(super) struct Leaser {
    copy: Arc<QueueCopy>,
    progress: Arc<dyn QueueProgress>,
    tasks: TaskTracker,
    ahead_seconds: u64,
    least: u64,
    demand: Demand,
    /// Leases are taken one at a time.
    leasing: tokio::sync::Mutex<()>,
}

/// How many numbers a second were asked for recently.
#[derive(Default)]
struct Demand(Mutex<Rate>);

#[derive(Default)]
struct Rate {
    since: Timestamp,
    count: u64,
    per_second: u64,
}

impl Demand {
    /// Counts, and returns the recent rate.
    fn add(&self, count: u64, now: Timestamp) -> u64 {
        let mut rate = lock(&self.0);
        let millis = now.millis_since(rate.since);
        if !(0..250).contains(&millis) {
            let over = u64::try_from(millis).unwrap_or(1_000).max(1);
            rate.per_second = rate.count.saturating_mul(1_000) / over;
            rate.since = now;
            rate.count = 0;
        }
        rate.count += count;
        // A rush shows at once, not only when its window closes.
        rate.per_second = rate.per_second.max(rate.count);
        rate.per_second
    }
}

impl Leaser {
    pub(super) fn new(parts: &Parts, background: &Background, copy: Arc<QueueCopy>) -> Self {
        Self {
            copy,
            progress: parts.progress.clone(),
            tasks: background.tasks.clone(),
            ahead_seconds: u64::from(parts.config.lease_ahead_seconds),
            least: parts.config.lease_min.max(1),
            demand: Demand::default(),
            leasing: tokio::sync::Mutex::default(),
        }
    }

    /// Sees to it that at least `least` numbers are left to give. Leases of a node go one after
    /// another: what lies before the start of the last one was given.
    pub(super) async fn top_up(&self, least: u64) -> Result<(), Error> {
        let _turn = self.leasing.lock().await;
        let give = |lease| Reserve { count: 0, lease, straight: false };
        let (generation, had) = self.copy.call(|store, at| store.reserve(at, give(None))).await?;
        if had.left >= least {
            return Ok(());
        }
        let ahead = self.demand.add(0, self.copy.now()).saturating_mul(self.ahead_seconds);
        let count = ahead.max(least).max(self.least);
        match self.progress.lease(self.copy.id(), generation, count).await? {
            Leased::Numbers { first, last } => {
                counter!(LEASES_TOTAL).increment(1);
                let lease = Some((first, last));
                self.copy.call(|store, at| store.reserve(at, give(lease))).await.map(drop)
            }
            Leased::Stale => self.copy.recover(generation).await,
        }
    }

    /// Notes that `given` numbers were given and `left` are, and takes the next lease in the
    /// background when few are.
    pub(super) fn given(self: &Arc<Self>, given: u64, left: u64) {
        let least = self.demand.add(given, self.copy.now()) / AHEAD_SHARE;
        if left >= least || self.leasing.try_lock().is_err() {
            return;
        }
        let leaser = self.clone();
        self.tasks.spawn(async move {
            if let Err(error) = leaser.top_up(least).await {
                let queue = leaser.copy.id();
                tracing::warn!(%error, queue.id = %queue, "numbers cannot be leased ahead");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_follows_the_recent_rate() {
        let demand = Demand::default();
        let at = Timestamp::from_millis;
        assert_eq!(demand.add(10, at(1_000)), 10);
        assert_eq!(demand.add(90, at(1_100)), 100);
        assert_eq!(demand.add(1, at(1_250)), 400);
        assert_eq!(demand.add(1, at(61_250)), 1);
    }
}
