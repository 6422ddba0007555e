//! The loop that carries outcomes to the seats they are about.
use crate::{Error, SeatAllocator};
use futures_util::future::join_all;
use ledger::{
    BatchError, BatchHandler, BookingId, BookingOutcome, Consumer, ConsumerConfig, Delivery, Group,
    Message, SeatEffect,
};
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;

/// Reads outcomes, moves the seats, then commits: at least once, and twice is harmless.
pub struct OutcomeApplier {
    seats: SeatAllocator,
    consumer: Consumer,
}

impl OutcomeApplier {
    pub fn new(seats: SeatAllocator, config: ConsumerConfig) -> Self {
        let consumer = Consumer::new(seats.parts().log.clone(), Group::OutcomeApplier, config);
        Self { seats, consumer }
    }

    /// Runs until `shutdown`; the batch in hand is finished first.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { seats, consumer } = self;
        consumer.run(Applying { seats }, shutdown).await;
    }
}

/// Moves the seats that a batch of outcomes is about.
pub(crate) struct Applying {
    pub(crate) seats: SeatAllocator,
}

impl BatchHandler for Applying {
    async fn handle(&self, batch: &[Delivery]) -> Result<(), BatchError> {
        let applied = newest(batch).into_iter().map(|outcome| self.apply(outcome));
        BatchError::of_all(join_all(applied).await)
    }
}

impl Applying {
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
fn newest(batch: &[Delivery]) -> Vec<&BookingOutcome> {
    let mut newest: HashMap<&BookingId, &BookingOutcome> = HashMap::with_capacity(batch.len());
    for delivery in batch {
        let Message::Outcome(outcome) = &delivery.message else { continue };
        if outcome.seat_effect() == SeatEffect::Keep {
            continue;
        }
        let older = newest.get(&outcome.booking.id);
        if older.is_none_or(|older| older.booking.version < outcome.booking.version) {
            newest.insert(&outcome.booking.id, outcome);
        }
    }
    newest.into_values().collect()
}
