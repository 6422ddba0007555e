//! Telling the outside what was recorded.
use crate::error::warn_of;
use crate::metrics;
use crate::segment::part;
use ledger::books::Outbox;
use ledger::consumer::{Isolation, Poison};
use ledger::{BookingId, BookingLog, BookingOutcome, Message, StoreError};
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::Span;

/// What was recorded for some pieces of work, each named by its batch.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) outcomes: Vec<BookingOutcome>,
    pub(crate) pieces: Vec<u64>,
    /// Of the bookings that were charged; they end when their outcomes are on the log.
    pub(crate) spans: Vec<Span>,
}

/// Appends outcomes to the log and marks them in the outbox.
#[derive(Clone)]
pub(crate) struct OutboxAppender {
    pub(crate) log: Arc<dyn BookingLog>,
    pub(crate) outbox: Arc<dyn Outbox>,
}

impl OutboxAppender {
    /// Returns once the log has acknowledged every outcome.
    pub(crate) async fn append(&self, outcomes: &[BookingOutcome]) -> Result<(), StoreError> {
        let message = |outcome: &BookingOutcome| Message::Outcome(Box::new(outcome.clone()));
        self.log.append(outcomes.iter().map(message).collect()).await?;
        outcomes.iter().for_each(|outcome| metrics::ended(outcome.booking.status));
        Ok(())
    }

    pub(crate) async fn mark(&self, outcomes: &[BookingOutcome]) -> Result<(), StoreError> {
        let version = |outcome: &BookingOutcome| -> (BookingId, u32) {
            (outcome.booking.id.clone(), outcome.booking.version)
        };
        let versions: Vec<_> = outcomes.iter().map(version).collect();
        self.outbox.published(&versions).await
    }
}

/// The outcomes without those that the log refuses for ever: these stay in the outbox.
pub(crate) fn appended(
    mut outcomes: Vec<BookingOutcome>,
    poison: &[Poison],
) -> Vec<BookingOutcome> {
    for Poison { index, reason } in poison.iter().rev() {
        let outcome = outcomes.remove(*index);
        let id = outcome.booking.id;
        tracing::error!(booking.id = %id, reason, "the log refuses an outcome for ever");
    }
    outcomes
}

/// Publishes what the worker recorded, in the order of recording, and reports the pieces done.
pub(crate) struct Publisher {
    pub(crate) outbox: OutboxAppender,
    pub(crate) isolation: Isolation,
    pub(crate) batch_max: usize,
    pub(crate) recorded: mpsc::Receiver<Recorded>,
    pub(crate) done: mpsc::Sender<Vec<u64>>,
}

impl Publisher {
    /// Runs until nothing more can be recorded.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::new();
        while self.recorded.recv_many(&mut taken, self.batch_max).await > 0 {
            let mut all = Recorded::default();
            for recorded in taken.drain(..) {
                all.outcomes.extend(recorded.outcomes);
                all.pieces.extend(recorded.pieces);
                all.spans.extend(recorded.spans);
            }
            for chunk in all.outcomes.chunks(self.batch_max) {
                self.publish(chunk.to_vec()).await;
            }
            if self.done.send(all.pieces).await.is_err() {
                return;
            }
        }
    }

    async fn publish(&self, outcomes: Vec<BookingOutcome>) {
        let append = |range| {
            let part = part(&outcomes, range);
            async { self.outbox.append(part).await.map(|()| Vec::<()>::new()) }
        };
        let poison = self.isolation.run_to_end(outcomes.len(), append).await.poison;
        let appended = appended(outcomes, &poison);
        // The outcomes are on the log; the reconciler marks them, at the price of a second copy.
        if let Err(error) = self.outbox.mark(&appended).await {
            warn_of(&error, "marking outcomes as published failed");
        }
    }
}
