//! The desk: charges at the gateway, many at once, and their answers settled in groups.
use crate::asking::Asker;
use crate::backoff::Backoff;
use crate::metrics;
use crate::publishing::Recorded;
use ledger::Clock;
use ledger::books::{Purchases, Settlement};
use ledger::purchase::Purchase;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinSet};

/// A charge to make. Its place in flight is free again once its answer is recorded.
pub(crate) struct Charge {
    pub(crate) batch: u64,
    pub(crate) purchase: Box<Purchase>,
    pub(crate) place: OwnedSemaphorePermit,
}

/// A charge's answer on its way to the books.
struct Answer {
    batch: u64,
    settlement: Settlement,
    _place: OwnedSemaphorePermit,
}

/// Sends each charge off as it comes. While one group of answers is being settled the next one
/// gathers, so that the groups grow as the books get slower.
pub(crate) struct Desk {
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
    pub(crate) backoff: Backoff,
    pub(crate) recorded: mpsc::Sender<Recorded>,
}

impl Desk {
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
    let Charge { batch, purchase, place } = charge;
    let result = asker.charge(&purchase).await;
    let settlement = Settlement { booking_id: purchase.command.booking_id.clone(), result };
    Answer { batch, settlement, _place: place }
}

impl Settler {
    async fn settle(self, group: Vec<Answer>) {
        let settlements: Vec<_> = group.iter().map(|answer| answer.settlement.clone()).collect();
        let purchases = &self.purchases;
        let outcomes =
            self.backoff.insist(|| purchases.settle(&settlements, self.clock.now())).await;
        metrics::settled(settlements.len());
        let pieces = group.iter().map(|answer| answer.batch).collect();
        drop(group);
        // Nobody listens only when the worker is being dropped.
        let _ = self.recorded.send(Recorded { outcomes, pieces }).await;
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
