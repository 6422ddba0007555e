//! Opening a batch: the seats are claimed and the attempts committed before anything is charged.
use crate::backoff::Backoff;
use crate::publishing::Recorded;
use crate::segment::Segment;
use crate::settling::Charge;
use ledger::books::{Begun, Purchases};
use ledger::{Clock, Delivery, StoreError, Subscription};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

/// Gets batches and has them opened.
pub(crate) struct Opener {
    pub(crate) purchases: Arc<dyn Purchases>,
    pub(crate) clock: Clock,
    pub(crate) backoff: Backoff,
    pub(crate) batch_max: usize,
    /// Free places in flight.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) charges: mpsc::Sender<Charge>,
    pub(crate) recorded: mpsc::Sender<Recorded>,
}

impl Opener {
    /// The next batch, no larger than what may be in flight and than `room`. Cancel-safe.
    pub(crate) async fn poll(
        &self,
        subscription: &mut dyn Subscription,
        not_before: Instant,
        room: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        tokio::time::sleep_until(not_before).await;
        // Only the intake takes places, so what is free now is free still when the batch is here.
        drop(self.places.acquire().await);
        let free = self.places.available_permits();
        subscription.next(free.min(room).clamp(1, self.batch_max)).await
    }

    /// One transaction for the places, then one for the cancels. While the books are down
    /// this waits, and nothing is charged. Only an attempt that this call commits is charged here:
    /// an earlier one has its next try on record, and the reconciler keeps its pace.
    pub(crate) async fn open(&self, batch: u64, segment: Segment) {
        let Segment { places, cancels } = segment;
        let Self { purchases, clock, .. } = self;
        let mut outcomes = Vec::new();
        let mut pieces = Vec::new();
        if !places.is_empty() {
            let begun = self.backoff.insist(|| purchases.begin(&places, clock.now())).await;
            for begun in begun {
                match begun {
                    Begun::Charge(purchase) => {
                        let place = self.places.clone().acquire_owned().await;
                        let place = place.expect("nobody closes the places in flight");
                        // Nobody listens only when the worker is being dropped.
                        let _ = self.charges.send(Charge { batch, purchase, place }).await;
                    }
                    // The command has had its effect, and there is nothing to tell yet.
                    Begun::Resolve(_) => pieces.push(batch),
                    Begun::Ended(outcome) => {
                        outcomes.push(*outcome);
                        pieces.push(batch);
                    }
                }
            }
        }
        if !cancels.is_empty() {
            outcomes.extend(self.backoff.insist(|| purchases.cancel(&cancels, clock.now())).await);
            pieces.extend(cancels.iter().map(|_| batch));
        }
        if !pieces.is_empty() {
            let _ = self.recorded.send(Recorded { outcomes, pieces }).await;
        }
    }
}
