//! The loop that carries outcomes to the seats they are about.
use crate::{Error, SeatAllocator};
use futures_util::future::try_join_all;
use ledger::{BookingId, BookingOutcome, Delivery, Group, Message, SeatEffect, Subscription};
use std::collections::HashMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The wait after a failure; it doubles up to the longest.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Reads outcomes, moves the seats, then commits: at least once, and twice is harmless.
pub struct OutcomeApplier {
    seats: SeatAllocator,
}

impl OutcomeApplier {
    pub fn new(seats: SeatAllocator) -> Self {
        Self { seats }
    }

    /// Runs until shutdown; the batch in hand is finished first, unless a store is down.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut subscription = None;
        let mut wait = RETRY_MIN;
        while !shutdown.is_cancelled() {
            match self.turn(&mut subscription, &shutdown).await {
                Ok(()) => wait = RETRY_MIN,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "outcomes could not be applied"
                    );
                    // Joined anew, the group gives out again what was not committed.
                    subscription = None;
                    shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
                    wait = (wait * 2).min(RETRY_MAX);
                }
            }
        }
    }

    pub(crate) async fn turn(
        &self,
        subscription: &mut Option<Box<dyn Subscription>>,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let parts = self.seats.parts();
        let subscription = match subscription {
            Some(subscription) => subscription,
            None => subscription.insert(parts.log.subscribe(Group::OutcomeApplier).await?),
        };
        let next = subscription.next(parts.config.outcome_batch_max);
        let Some(batch) = shutdown.run_until_cancelled(next).await else { return Ok(()) };
        let outcomes = newest(batch?);
        try_join_all(outcomes.iter().map(|outcome| self.apply(outcome))).await?;
        Ok(subscription.commit().await?)
    }

    async fn apply(&self, outcome: &BookingOutcome) -> Result<(), Error> {
        let booking = &outcome.booking;
        match self.seats.copy_of(&booking.event_id).await? {
            Some(copy) => {
                self.seats.apply(&copy, outcome).await?;
            }
            None => tracing::error!(booking.id = %booking.id, "an outcome of no known event"),
        }
        Ok(())
    }
}

/// Of each booking its newest version: each says all there is to say.
fn newest(batch: Vec<Delivery>) -> Vec<BookingOutcome> {
    let mut newest: HashMap<BookingId, BookingOutcome> = HashMap::with_capacity(batch.len());
    for delivery in batch {
        let Message::Outcome(outcome) = delivery.message else { continue };
        if outcome.seat_effect() == SeatEffect::Keep {
            continue;
        }
        let older = newest.get(&outcome.booking.id);
        if older.is_none_or(|older| older.booking.version < outcome.booking.version) {
            newest.insert(outcome.booking.id.clone(), *outcome);
        }
    }
    newest.into_values().collect()
}
