//! The loop that ends holds on time and sends overdue commands again.
use crate::grid::Counts;
use crate::recovery::EventCopy;
use crate::store::Swept;
use crate::{Error, SeatAllocator, metrics};
use ledger::{BookingCommand, Cursor, Event, Message};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Events read at once while looking for holds that others made.
const EVENTS_PER_PAGE: u32 = 16;

/// Frees expired holds and resends overdue commands, of every event that this node has touched,
/// and of those in which others left holds: a past run, or a node that is no more.
pub struct HoldSweeper {
    seats: SeatAllocator,
    search: Search,
}

/// How far the search for holds that others made has come.
enum Search {
    /// Through the list of events, up to this one.
    After(Option<String>),
    /// Done, until then.
    Rests(Instant),
}

impl HoldSweeper {
    pub fn new(seats: SeatAllocator) -> Self {
        Self { seats, search: Search::After(None) }
    }

    /// Runs until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let every = Duration::from_millis(self.seats.parts().config.sweep_interval_ms.max(1));
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            if let Err(error) = self.search().await {
                warn(&error, "holds of others could not be looked for");
            }
            self.sweep().await;
        }
    }

    /// Sweeps every event once.
    pub async fn sweep(&self) {
        let (mut counts, mut holds) = (Counts::default(), 0);
        for copy in self.seats.copies() {
            match self.sweep_event(&copy).await {
                Ok(swept) => {
                    counts = counts.plus(swept.counts);
                    holds += swept.holds;
                }
                Err(error) => {
                    tracing::debug!(event.id = %copy.event().id, "an event could not be swept");
                    warn(&error, "a sweep failed");
                }
            }
        }
        metrics::swept(counts, holds);
    }

    async fn sweep_event(&self, copy: &EventCopy) -> Result<Swept, Error> {
        let parts = self.seats.parts();
        let max = parts.config.sweep_batch_max.max(1);
        loop {
            let store = &parts.store;
            let swept =
                self.seats.call(copy, |at| async move { store.sweep(&at, max).await }).await?;
            let more = swept.ended >= max || swept.overdue.len() >= max;
            if !swept.overdue.is_empty() {
                let again = |command| Message::Command(BookingCommand::Place(command));
                let messages: Vec<_> = swept.overdue.iter().cloned().map(again).collect();
                let resent = messages.len();
                // Lost here, they are due again after another deadline length.
                parts.log.append(messages).await?;
                metrics::resent(resent);
            }
            if !more {
                return Ok(swept);
            }
        }
    }

    /// Touches one more page of events in which others left holds or payments.
    async fn search(&mut self) -> Result<(), Error> {
        let after = match &self.search {
            Search::After(after) => after.clone(),
            Search::Rests(until) if Instant::now() < *until => return Ok(()),
            Search::Rests(_) => None,
        };
        let cursor = Cursor { after, limit: EVENTS_PER_PAGE };
        let page = self.seats.parts().events.events(cursor).await?;
        for event in page.items {
            match self.touch(event).await {
                Err(error) if error.is_retryable() => return Err(error),
                // Trying again would not help, and the other events wait.
                Err(error) => warn(&error, "an event's holds cannot be recovered"),
                Ok(()) => {}
            }
        }
        self.search = match page.next {
            Some(next) => Search::After(Some(next)),
            None => Search::Rests(Instant::now() + self.search_interval()),
        };
        Ok(())
    }

    fn search_interval(&self) -> Duration {
        Duration::from_millis(self.seats.parts().config.search_interval_ms)
    }

    async fn touch(&self, event: Event) -> Result<(), Error> {
        let now = self.seats.parts().clock.now();
        let over = event.over_at().is_some_and(|over_at| over_at < now);
        if over || self.seats.known_copy(&event.id).is_some() {
            return Ok(());
        }
        if self.seats.parts().store.has_holds(&event).await? {
            let copy = self.seats.copy(&Arc::new(event));
            self.sweep_event(&copy).await?;
        }
        Ok(())
    }
}

fn warn(error: &Error, what: &str) {
    let error: &(dyn std::error::Error + 'static) = error;
    tracing::warn!(error, "{what}");
}
