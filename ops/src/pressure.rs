//! Tells the waiting room what the stages behind it feel: how many seats are left, and whether the
//! booking log falls behind.
use allocator::SeatAllocator;
use ledger::books::{Events, Queues};
use ledger::{BookingLog, Clock, EventId, Group, QueueId, StoreError};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use waiting_room::{Pressure, Pressures};

/// How many looks pass before the list of queues and events is read again.
const LOOKS_PER_LIST: u32 = 4;

/// What the gauge goes by. Defaults live in `tidegate.default.toml`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PressureBounds {
    /// How often seats and backlog are looked at.
    pub look_interval_ms: u64,
    /// How long the booking log may take to say one backlog; a first look takes the longest.
    pub backlog_timeout_ms: u64,
    /// Commands older than this mean that the payment workers cannot keep up.
    pub backlog_age_max_ms: u64,
}

/// Feeds a watch of [`Pressures`].
pub(crate) struct PressureGauge {
    pub(crate) seats: SeatAllocator,
    pub(crate) queues: Arc<dyn Queues>,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) log: Arc<dyn BookingLog>,
    pub(crate) clock: Clock,
    pub(crate) bounds: PressureBounds,
    pub(crate) to: watch::Sender<Pressures>,
}

impl PressureGauge {
    /// Looks again and again until told to stop.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        // Apart, so that a log that does not answer never holds up what is told of the seats.
        let slow = AtomicBool::new(false);
        let both = async { tokio::join!(self.look_at_seats(&slow), self.look_at_log(&slow)) };
        shutdown.run_until_cancelled(both).await;
    }

    fn look_interval(&self) -> Duration {
        Duration::from_millis(self.bounds.look_interval_ms)
    }

    async fn look_at_log(&self, slow: &AtomicBool) {
        let mut tick = tokio::time::interval(self.look_interval());
        loop {
            tick.tick().await;
            slow.store(self.is_slow().await, Ordering::Relaxed);
        }
    }

    async fn look_at_seats(&self, slow: &AtomicBool) {
        let mut tick = tokio::time::interval(self.look_interval());
        let mut list = Vec::new();
        let mut looks = 0;
        loop {
            tick.tick().await;
            if looks % LOOKS_PER_LIST == 0 {
                match self.list().await {
                    Ok(new) => list = new,
                    Err(error) => tracing::warn!(%error, "the list of queues cannot be read"),
                }
            }
            looks = (looks + 1) % LOOKS_PER_LIST;
            let slow = slow.load(Ordering::Relaxed);
            let mut pressures = HashMap::with_capacity(list.len());
            for (queue, events) in &list {
                pressures.insert(queue.clone(), self.behind(events, slow).await);
            }
            self.to.send_if_modified(|now| {
                let changed = **now != pressures;
                if changed {
                    *now = Arc::new(pressures);
                }
                changed
            });
        }
    }

    async fn list(&self) -> Result<Vec<(QueueId, Vec<EventId>)>, StoreError> {
        let mut list = Vec::new();
        for queue in self.queues.queues().await? {
            let events = self.events.events_of(&queue.id).await?;
            list.push((queue.id, events));
        }
        Ok(list)
    }

    /// The pressure behind one queue; an event whose seats are being recovered counts as slow.
    async fn behind(&self, events: &[EventId], slow: bool) -> Pressure {
        let mut all = Pressure { sold_out: !events.is_empty(), slow, ..Pressure::default() };
        for event in events {
            match self.seats.availability(event).await {
                Ok(Some(seats)) => {
                    all.seats_available += seats.free;
                    all.sold_out &= seats.is_sold_out();
                    all.price_from = match (all.price_from, seats.price_from) {
                        (Some(one), Some(other)) if other.minor < one.minor => Some(other),
                        (Some(one), _) => Some(one),
                        (None, other) => other,
                    };
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, event.id = %event, "availability is unknown");
                    all.slow = true;
                    all.sold_out = false;
                }
            }
        }
        all
    }

    /// Looks at every group's backlog for the metrics, and at the payment workers' for pressure.
    async fn is_slow(&self) -> bool {
        let mut slow = false;
        let timeout_of_log = Duration::from_millis(self.bounds.backlog_timeout_ms);
        let age_max_ms = i64::try_from(self.bounds.backlog_age_max_ms).unwrap_or(i64::MAX);
        for group in Group::ALL {
            match timeout(timeout_of_log, self.log.backlog(group)).await {
                Ok(Ok(backlog)) => {
                    let now = self.clock.now();
                    ledger::metrics::backlog(group, backlog, now);
                    let age = backlog.oldest_at.map_or(0, |at| now.millis_since(at));
                    slow |= group == Group::PaymentWorker && age > age_max_ms;
                }
                // The first group without an answer says enough of the others.
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the booking log cannot be asked for its backlog");
                    return true;
                }
                Err(_) => {
                    tracing::warn!("the booking log does not say its backlog");
                    return true;
                }
            }
        }
        slow
    }
}
