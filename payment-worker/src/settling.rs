//! Charges at the gateway, many at once, and their answers settled in groups.
use crate::asking::Asker;
use crate::metrics;
use crate::publishing::Recorded;
use crate::segment::{Origin, dead_letters, part};
use ledger::books::{Purchases, Settlement};
use ledger::consumer::Isolation;
use ledger::purchase::Purchase;
use ledger::{BookingCommand, BookingId, BookingOutcome, Clock, Timestamp, booking_trace};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, Span};

/// A charge to make. Its permit is given back once its answer is recorded.
pub(crate) struct Charge {
    pub(crate) batch: u64,
    pub(crate) purchase: Box<Purchase>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) span: Span,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A charge's answer on its way to the books.
struct Answer {
    charge: Charge,
    settlement: Settlement,
}

/// Sends each charge off as it comes. While one group of answers is being settled the next one
/// gathers, so that the groups grow as the books get slower.
pub(crate) struct Charger {
    pub(crate) asker: Asker,
    pub(crate) settler: Settler,
    pub(crate) settle_batch_max: usize,
    pub(crate) charges: mpsc::Receiver<Charge>,
}

/// Writes groups of answers.
#[derive(Clone)]
pub(crate) struct Settler {
    pub(crate) purchases: Arc<dyn Purchases>,
    pub(crate) clock: Clock,
    pub(crate) isolation: Isolation,
    pub(crate) recorded: mpsc::Sender<Recorded>,
}

impl Charger {
    /// Runs until no more charges can come and all answers are settled.
    pub(crate) async fn run(mut self) {
        let mut asking: JoinSet<Answer> = JoinSet::new();
        let mut settling: JoinSet<()> = JoinSet::new();
        let mut arrived: Vec<Answer> = Vec::new();
        let mut open = true;
        loop {
            if settling.is_empty() && !arrived.is_empty() {
                let group = arrived.drain(..arrived.len().min(self.settle_batch_max)).collect();
                settling.spawn(self.settler.clone().settle(group));
            }
            tokio::select! {
                Some(answer) = asking.join_next() => arrived.push(finished(answer)),
                Some(settled) = settling.join_next() => finished(settled),
                charge = self.charges.recv(), if open => match charge {
                    Some(charge) => { asking.spawn(ask(self.asker.clone(), charge)); }
                    None => open = false,
                },
                else => return,
            }
            metrics::charges_inflight(asking.len() + arrived.len());
        }
    }
}

async fn ask(asker: Asker, charge: Charge) -> Answer {
    let result = asker.charge(&charge.purchase).instrument(charge.span.clone()).await;
    let booking_id = charge.purchase.command.booking_id.clone();
    Answer { charge, settlement: Settlement { booking_id, result } }
}

impl Settler {
    /// An answer that the books refuse for ever is set aside with its command: money may have
    /// moved, and the reconciler asks again for as long as nobody mends it.
    async fn settle(self, group: Vec<Answer>) {
        let settlements: Vec<_> = group.iter().map(|answer| answer.settlement.clone()).collect();
        let (purchases, clock) = (&self.purchases, &self.clock);
        let settle = |range| purchases.settle(part(&settlements, range), clock.now());
        let settled = self.isolation.run_to_end(settlements.len(), settle).await;
        metrics::settled(settlements.len());
        for poison in settled.poison {
            let Charge { purchase, origins, .. } = &group[poison.index].charge;
            let command = BookingCommand::Place(purchase.command.clone());
            let letters = dead_letters(&command, origins, &poison.reason);
            self.isolation.dead_letters().append(letters).await;
        }
        let purchases = group.iter().map(|answer| &*answer.charge.purchase);
        told(&settled.answers, purchases);
        let mut recorded = Recorded { outcomes: settled.answers, ..Recorded::default() };
        for Answer { charge: Charge { batch, span, permit, .. }, .. } in group {
            drop(permit);
            recorded.pieces.push(batch);
            recorded.spans.push(span);
        }
        // Nobody listens only when the worker is being dropped.
        let _ = self.recorded.send(recorded).await;
    }
}

/// Notes what was recorded of these purchases in the lives of their bookings.
pub(crate) fn told<'a>(outcomes: &[BookingOutcome], purchases: impl Iterator<Item = &'a Purchase>) {
    let submitted: HashMap<&BookingId, Option<Timestamp>> =
        purchases.map(|one| (&one.command.booking_id, one.submitted_at)).collect();
    for BookingOutcome { booking, .. } in outcomes {
        booking_trace::settled(booking, submitted.get(&booking.id).copied().flatten());
    }
}

/// A panic in a task is a defect; it ends the worker, and the messages come again.
pub(crate) fn finished<T>(joined: Result<T, JoinError>) -> T {
    match joined {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => panic!("a task nobody cancels was cancelled: {error}"),
        },
    }
}
