//! Telling the outside what was recorded.
use crate::backoff::{Backoff, warn_of};
use crate::metrics;
use ledger::books::Purchases;
use ledger::{BookingId, BookingLog, BookingOutcome, Message, StoreError};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What was recorded for some pieces of work, each named by its batch.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) outcomes: Vec<BookingOutcome>,
    pub(crate) pieces: Vec<u64>,
}

/// Appends outcomes and empties the outbox of them.
#[derive(Clone)]
pub(crate) struct Press {
    pub(crate) log: Arc<dyn BookingLog>,
    pub(crate) purchases: Arc<dyn Purchases>,
}

impl Press {
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
        self.purchases.published(&versions).await
    }
}

/// Publishes what the worker recorded, in the order of recording, and reports the pieces done.
pub(crate) struct Publisher {
    pub(crate) press: Press,
    pub(crate) backoff: Backoff,
    pub(crate) batch_max: usize,
    pub(crate) recorded: mpsc::Receiver<Recorded>,
    pub(crate) done: mpsc::Sender<Vec<u64>>,
}

impl Publisher {
    /// Runs until nothing more can be recorded.
    pub(crate) async fn run(mut self) {
        let mut taken = Vec::new();
        while self.recorded.recv_many(&mut taken, self.batch_max).await > 0 {
            let (mut outcomes, mut pieces) = (Vec::new(), Vec::new());
            for recorded in taken.drain(..) {
                outcomes.extend(recorded.outcomes);
                pieces.extend(recorded.pieces);
            }
            for chunk in outcomes.chunks(self.batch_max) {
                self.publish(chunk).await;
            }
            if self.done.send(pieces).await.is_err() {
                return;
            }
        }
    }

    async fn publish(&self, outcomes: &[BookingOutcome]) {
        self.backoff.insist(|| self.press.append(outcomes)).await;
        // The outcomes are on the log; the reconciler marks them, at the price of a second copy.
        if let Err(error) = self.press.mark(outcomes).await {
            warn_of(&error, "marking outcomes as published failed");
        }
    }
}
