//! Opening a batch: the seats are claimed and the attempts committed before anything is charged.
use crate::publishing::Recorded;
use crate::segment::{Origins, Segment, dead_letters, part};
use crate::settling::Charge;
use ledger::booking_trace::{BookingStep, booking_span};
use ledger::books::{Begun, Purchases};
use ledger::consumer::{Consumer, Isolation};
use ledger::{BookingCommand, CancelBooking, Clock, Delivery, PlaceBooking};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tracing::Span;

/// Gets batches and has them opened.
pub(crate) struct Opener {
    pub(crate) purchases: Arc<dyn Purchases>,
    pub(crate) clock: Clock,
    pub(crate) isolation: Isolation,
    /// One for each charge that may be in flight.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) charges: mpsc::Sender<Charge>,
    pub(crate) recorded: mpsc::Sender<Recorded>,
}

impl Opener {
    /// The next batch, no larger than what may be in flight and than `room`. Cancel-safe.
    pub(crate) async fn poll(&self, consumer: &mut Consumer, room: usize) -> Vec<Delivery> {
        // Only the intake takes permits, so what is free now is free still when the batch is here.
        drop(self.permits.acquire().await);
        let free = self.permits.available_permits();
        consumer.next(free.min(room).max(1)).await
    }

    /// One transaction for the places, then one for the cancels. While the books are down this
    /// waits, and nothing is charged. A command that the books refuse for ever is set aside, and
    /// the others of its batch go on.
    pub(crate) async fn open(&self, batch: u64, segment: Segment) {
        let Segment { places, cancels, placed, cancelled } = segment;
        let mut recorded = Recorded::default();
        self.place(batch, places, placed, &mut recorded).await;
        self.cancel(batch, cancels, &cancelled, &mut recorded).await;
        if !recorded.pieces.is_empty() {
            // Nobody listens only when the worker is being dropped.
            let _ = self.recorded.send(recorded).await;
        }
    }

    /// Only an attempt that this call commits is charged here: an earlier one has its next try on
    /// record, and the reconciler keeps its pace.
    async fn place(
        &self,
        batch: u64,
        places: Vec<PlaceBooking>,
        mut origins: Origins,
        recorded: &mut Recorded,
    ) {
        let (purchases, clock) = (&self.purchases, &self.clock);
        let begin = |range| purchases.begin(part(&places, range), clock.now());
        let begun = self.isolation.run_to_end(places.len(), begin).await;
        for poison in begun.poison {
            let command = BookingCommand::Place(places[poison.index].clone());
            self.set_aside(&command, &origins, &poison.reason).await;
            recorded.pieces.push(batch);
        }
        for begun in begun.answers {
            match begun {
                Begun::Charge(purchase) => {
                    let permit = self.permits.clone().acquire_owned().await;
                    let permit = permit.expect("nobody closes the semaphore");
                    let command = &purchase.command;
                    let span = charge_span(command);
                    let origins = origins.remove(&command.booking_id).unwrap_or_default();
                    let charge = Charge { batch, purchase, origins, span, permit };
                    let _ = self.charges.send(charge).await;
                }
                // The command has had its effect, and there is nothing to tell yet.
                Begun::Resolve(_) => recorded.pieces.push(batch),
                Begun::Ended(outcome) => {
                    recorded.outcomes.push(*outcome);
                    recorded.pieces.push(batch);
                }
            }
        }
    }

    async fn cancel(
        &self,
        batch: u64,
        cancels: Vec<CancelBooking>,
        origins: &Origins,
        recorded: &mut Recorded,
    ) {
        let (purchases, clock) = (&self.purchases, &self.clock);
        let cancel = |range| purchases.cancel(part(&cancels, range), clock.now());
        let cancelled = self.isolation.run_to_end(cancels.len(), cancel).await;
        for poison in cancelled.poison {
            let command = BookingCommand::Cancel(cancels[poison.index].clone());
            self.set_aside(&command, origins, &poison.reason).await;
        }
        recorded.outcomes.extend(cancelled.answers);
        recorded.pieces.extend(cancels.iter().map(|_| batch));
    }

    async fn set_aside(&self, command: &BookingCommand, origins: &Origins, reason: &str) {
        let origins = origins.get(command.booking_id()).map_or(&[][..], Vec::as_slice);
        let letters = dead_letters(command, origins, reason);
        self.isolation.dead_letters().append(letters).await;
    }
}

/// From the committed attempt to the outcome on the log.
pub(crate) fn charge_span(command: &PlaceBooking) -> Span {
    let PlaceBooking { event_id, hold_id, booking_id, .. } = command;
    booking_span(BookingStep::Charge, event_id, Some(hold_id), Some(booking_id))
}
