//! Leases: numbers are taken ahead in `Books`, about a second's worth, before they are given.
use super::Inner;
use super::desk::Desk;
use crate::Error;
use crate::metrics::LEASES_TOTAL;
use crate::store::Reserve;
use ledger::Timestamp;
use ledger::books::Leased;
use metrics::counter;
use std::sync::Arc;
use std::sync::Mutex;

/// The next lease is taken when the numbers left last for one 32nd of a second: longer than a
/// commit takes, and no more than so many are in doubt as to whether anyone has them after a loss.
const AHEAD_SHARE: u64 = 32;

/// How many numbers a second are asked for, of late.
#[derive(Default)]
pub(super) struct Demand(Mutex<Rate>);

#[derive(Default)]
struct Rate {
    since: Timestamp,
    count: u64,
    per_second: u64,
}

impl Demand {
    /// Counts, and returns the recent rate.
    pub(super) fn add(&self, count: u64, now: Timestamp) -> u64 {
        let mut rate = self.0.lock().expect("no panic while the lock is held");
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

impl Inner {
    /// Sees to it that at least `least` numbers are left to give. Leases of a node go one after
    /// another: what lies before the start of the last one was given.
    pub(super) async fn top_up(&self, desk: &Desk, least: u64) -> Result<(), Error> {
        let _turn = desk.leasing.lock().await;
        let give = |lease| Reserve { count: 0, lease, straight: false };
        let (generation, had) = self.ask(desk, |mark| self.store.reserve(mark, give(None))).await?;
        if had.left >= least {
            return Ok(());
        }
        let per_second = desk.demand.add(0, self.clock.now());
        let ahead = per_second.saturating_mul(u64::from(self.config.lease_ahead_seconds));
        let count = ahead.max(least).max(self.config.lease_min).max(1);
        match self.admissions.lease(&desk.id, generation, count).await? {
            Leased::Numbers { first, last } => {
                counter!(LEASES_TOTAL).increment(1);
                let lease = Some((first, last));
                self.ask(desk, |mark| self.store.reserve(mark, give(lease))).await.map(drop)
            }
            Leased::Stale => self.recover(desk, generation).await,
        }
    }

    /// Takes the next lease in the background when few numbers are left.
    pub(super) fn lease_ahead(self: &Arc<Self>, desk: &Arc<Desk>, left: u64, per_second: u64) {
        let least = per_second / AHEAD_SHARE;
        if left >= least || desk.leasing.try_lock().is_err() {
            return;
        }
        let (room, desk) = (self.clone(), desk.clone());
        self.tasks.spawn(async move {
            if let Err(error) = room.top_up(&desk, least).await {
                tracing::warn!(%error, queue.id = %desk.id, "numbers cannot be leased ahead");
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
