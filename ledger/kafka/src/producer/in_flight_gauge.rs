//! How many messages are on their way.
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages by how far they have come. Messages of a producer that was replaced are among them.
pub(super) struct InFlightGauge {
    inflight_max: u64,
    entered: AtomicU64,
    /// Of which the end is known.
    ended: AtomicU64,
    /// Those of them that a broker acknowledged.
    acknowledged: AtomicU64,
}

impl InFlightGauge {
    pub(super) fn new(inflight_max: u32) -> Self {
        Self {
            inflight_max: inflight_max.into(),
            entered: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
        }
    }

    /// False when there is no room for so many more.
    pub(super) fn enter(&self, messages: u32) -> bool {
        let messages = u64::from(messages);
        let before = self.entered.fetch_add(messages, Ordering::AcqRel);
        let room = self.ended().saturating_add(self.inflight_max);
        let fits = before.saturating_add(messages) <= room;
        if !fits {
            self.entered.fetch_sub(messages, Ordering::AcqRel);
        }
        fits
    }

    /// One message has come to its end.
    pub(super) fn reported(&self, acknowledged: bool) {
        if acknowledged {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self.ended.fetch_add(1, Ordering::AcqRel);
    }

    /// So many that entered were not taken by the producer.
    pub(super) fn refused(&self, messages: u32) {
        self.ended.fetch_add(messages.into(), Ordering::AcqRel);
    }

    pub(super) fn inflight(&self) -> u64 {
        // What ends between the two reads was in flight at the first: it must not count below 0.
        let ended = self.ended();
        self.entered.load(Ordering::Acquire).saturating_sub(ended)
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_with_each_end() {
        let in_flight = InFlightGauge::new(3);
        assert!(in_flight.enter(2) && !in_flight.enter(2) && in_flight.enter(1));
        assert_eq!(in_flight.inflight(), 3, "what found no room does not count");
        in_flight.reported(true);
        in_flight.reported(false);
        assert_eq!((in_flight.inflight(), in_flight.acknowledged()), (1, 1));
        assert!(in_flight.enter(2) && !in_flight.enter(1));
        in_flight.refused(2);
        assert_eq!(in_flight.inflight(), 1);
    }
}
