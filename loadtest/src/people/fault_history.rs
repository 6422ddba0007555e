//! What faults did to a run: what may be lost, how long refusals took, when sales went on.
use crate::history::Micros;
use ledger::lock;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// The faults of one run that matter to its people; without faults it stays empty.
#[derive(Debug, Default)]
pub(crate) struct FaultHistory(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Times at which holds may have been lost: they are a copy, and this is allowed to it.
    losses: Vec<Micros>,
    /// The longest that somebody waited to hear "come again".
    slowest_refusal: Duration,
    /// When bookings were confirmed, by when they had been accepted.
    confirmed: Vec<(Instant, Instant)>,
}

impl FaultHistory {
    /// Holds that were asked for until now may be gone.
    pub(crate) fn holds_may_be_lost(&self, now: Micros) {
        self.seen().losses.push(now);
    }

    /// Until when a hold lives for certain: its time, or the first loss after it was asked for.
    pub(crate) fn certain_until(&self, asked: Micros, until: Micros) -> Micros {
        let seen = self.seen();
        let losses = seen.losses.iter().copied().filter(|loss| *loss >= asked);
        losses.fold(until, Micros::min)
    }

    /// True when a hold that was asked for then may be gone.
    pub(super) fn may_have_lost(&self, asked: Micros) -> bool {
        self.seen().losses.iter().any(|loss| *loss >= asked)
    }

    pub(super) fn refused(&self, took: Duration) {
        let mut seen = self.seen();
        seen.slowest_refusal = seen.slowest_refusal.max(took);
    }

    pub(super) fn confirmed(&self, accepted: Instant) {
        self.seen().confirmed.push((accepted, Instant::now()));
    }

    pub(crate) fn slowest_refusal(&self) -> Duration {
        self.seen().slowest_refusal
    }

    /// How long after `healed` the first booking was confirmed that was accepted after it.
    pub(crate) fn recovered_after(&self, healed: Instant) -> Option<Duration> {
        let seen = self.seen();
        let since = seen.confirmed.iter().filter(|(accepted, _)| *accepted >= healed);
        since.map(|(_, confirmed)| *confirmed - healed).min()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_certain_until_the_first_loss_after_it() {
        let history = FaultHistory::default();
        assert_eq!(history.certain_until(5, 100), 100);
        history.holds_may_be_lost(50);
        history.holds_may_be_lost(70);
        for (asked, until, expected) in
            [(5, 100, 50), (5, 40, 40), (50, 100, 50), (51, 100, 70), (71, 100, 100)]
        {
            assert_eq!(history.certain_until(asked, until), expected, "{asked} to {until}");
        }
    }

    #[test]
    fn recovery_is_the_first_sale_that_began_after_healing() {
        let history = FaultHistory::default();
        let before = Instant::now();
        history.confirmed(before);
        let healed = before + Duration::from_millis(1);
        assert_eq!(history.recovered_after(healed), None, "it was accepted before");
        history.confirmed(healed);
        assert!(history.recovered_after(before).is_some());
    }
}
