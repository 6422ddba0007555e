//! The reconciler: final answers for what stayed open, refunds, and the outbox.
use crate::asking::Asker;
use crate::error::warn_of;
use crate::metrics::{self, Work};
use crate::opening::charge_span;
use crate::publishing::{OutboxAppender, appended};
use crate::segment::part;
use crate::settling::{finished, told};
use crate::{Config, Error, Parts};
use ledger::books::{DueWork, Purchases, Refunded, Settlement};
use ledger::consumer::{Isolation, Poison};
use ledger::{BatchError, BookingId, BookingOutcome, Clock, ConsumerConfig, Group, StoreError};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

/// Takes up what the worker left, by interval and in bounded batches.
#[derive(Clone)]
pub struct Reconciler {
    config: Config,
    purchases: Arc<dyn Purchases>,
    outbox: OutboxAppender,
    asker: Asker,
    isolation: Isolation,
    clock: Clock,
}

impl Reconciler {
    pub fn new(parts: Parts) -> Self {
        let Parts { config, consumer, purchases, outbox, log, gateway, clock } = parts;
        // What is refused here is not set aside, it only waits for its next turn: so there may be
        // as much of it as there is.
        let consumer = ConsumerConfig { poison_in_a_row_max: u32::MAX, ..consumer };
        let isolation = Isolation::new(log.clone(), Group::PaymentWorker, &consumer);
        let outbox = OutboxAppender { log, outbox };
        let asker = Asker::new(gateway, clock.clone(), &config);
        Self { config, purchases, outbox, asker, isolation, clock }
    }

    /// Runs until `shutdown`, then finishes what is in hand within `drain_timeout_ms`.
    pub async fn run(self, shutdown: CancellationToken) {
        // Apart, so that a gateway that hangs does not hold up the outbox.
        let resolving = self.looking(&shutdown, || self.resolve());
        let resolving = resolving.instrument(info_span!("reconciler", task = "resolve"));
        let publishing = self.looking(&shutdown, || self.publish());
        let publishing = publishing.instrument(info_span!("reconciler", task = "publish"));
        let drain = async {
            shutdown.cancelled().await;
            tokio::time::sleep(Duration::from_millis(self.config.drain_timeout_ms)).await;
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(resolving, publishing) } => {}
            () = drain => tracing::warn!("the reconciler was cut short and goes on next time"),
        }
    }

    /// Looks for work at each interval; at once again after a full batch.
    async fn looking<F, Looked>(&self, shutdown: &CancellationToken, look: F)
    where
        F: Fn() -> Looked,
        Looked: Future<Output = Result<usize, Error>>,
    {
        let period = Duration::from_millis(self.config.reconcile_interval_ms);
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match look().await {
                Ok(0) => {}
                Ok(_) => ticks.reset_immediately(),
                Err(error) => warn_of(&error, "reconciling failed and is tried again"),
            }
        }
    }

    /// Asks the gateway about one batch of due work and records the answers. The number of pieces
    /// when there may be more at once, else 0.
    pub async fn resolve(&self) -> Result<usize, Error> {
        let (now, limit) = (self.clock.now(), self.config.reconcile_batch_max);
        let next_try = now.plus_seconds(self.config.resolve_interval_seconds);
        let due = self.purchases.due(now, next_try, limit).await?;
        let taken = due.len();
        self.measure(&due);
        let mut asking = JoinSet::new();
        for work in &due {
            asking.spawn(ask(self.asker.clone(), work.clone()));
        }
        let (mut settlements, mut refunds) = (Vec::new(), Vec::new());
        while let Some(answer) = asking.join_next().await {
            match finished(answer) {
                Answer::Charge(settlement) => settlements.push(settlement),
                Answer::Refund(done) => refunds.extend(done),
            }
        }
        let mut outcomes = self.settle(&settlements).await?;
        told(&outcomes, due.iter().map(DueWork::purchase));
        outcomes.extend(self.refunded(&refunds).await?);
        self.announce(outcomes).await?;
        Ok(if taken < limit as usize { 0 } else { taken })
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<BookingOutcome>, BatchError> {
        let settle = |range| self.purchases.settle(part(settlements, range), self.clock.now());
        self.record(settlements, |settlement| &settlement.booking_id, settle).await
    }

    async fn refunded(&self, refunds: &[Refunded]) -> Result<Vec<BookingOutcome>, BatchError> {
        let refunded = |range| self.purchases.refunded(part(refunds, range), self.clock.now());
        self.record(refunds, |refund| &refund.booking_id, refunded).await
    }

    /// Has answers of the gateway recorded. One that the books refuse for ever is told of and
    /// comes again when it is due; the others are recorded.
    async fn record<T, F, Recorded>(
        &self,
        answers: &[T],
        booking: impl Fn(&T) -> &BookingId,
        call: F,
    ) -> Result<Vec<BookingOutcome>, BatchError>
    where
        F: Fn(Range<usize>) -> Recorded,
        Recorded: Future<Output = Result<Vec<BookingOutcome>, StoreError>>,
    {
        let isolated = self.isolation.try_run(answers.len(), call).await?;
        for Poison { index, reason } in &isolated.poison {
            let booking = answers.get(*index).map(&booking);
            let id = booking.map_or("", BookingId::as_str);
            tracing::error!(booking.id = id, reason, "the books refuse an answer of the gateway");
        }
        metrics::refused(isolated.poison.len());
        Ok(isolated.answers)
    }

    fn measure(&self, due: &[DueWork]) {
        let now = self.clock.now();
        let (mut charges, mut oldest_ms) = (0, 0);
        for work in due {
            match work {
                DueWork::Resolve(purchase) => {
                    charges += 1;
                    let age = purchase.submitted_at.map_or(0, |at| now.millis_since(at));
                    oldest_ms = oldest_ms.max(age);
                }
                DueWork::Refund(_) => {}
            }
        }
        metrics::reconciled(Work::Resolve, charges);
        metrics::reconciled(Work::Refund, due.len() - charges);
        metrics::unknown_age(oldest_ms);
    }

    /// Publishes one batch of the outbox. The number published when there may be more, else 0.
    pub async fn publish(&self) -> Result<usize, Error> {
        let limit = u32::try_from(self.config.publish_batch_max).unwrap_or(u32::MAX);
        let mut outbox = self.outbox.outbox.unpublished(limit).await?;
        metrics::outbox(outbox.len());
        let age_min_ms = i64::try_from(self.config.outbox_age_min_ms).unwrap_or(i64::MAX);
        let now = self.clock.now();
        outbox.retain(|outcome| now.millis_since(outcome.booking.updated_at) >= age_min_ms);
        metrics::reconciled(Work::Publish, outbox.len());
        let taken = outbox.len();
        self.announce(outbox).await?;
        Ok(if taken < limit as usize { 0 } else { taken })
    }

    async fn announce(&self, outcomes: Vec<BookingOutcome>) -> Result<(), Error> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let append = |range| {
            let part = part(&outcomes, range);
            async { self.outbox.append(part).await.map(|()| Vec::<()>::new()) }
        };
        let poison = self.isolation.try_run(outcomes.len(), append).await?.poison;
        let appended = appended(outcomes, &poison);
        Ok(self.outbox.mark(&appended).await?)
    }
}

enum Answer {
    Charge(Settlement),
    Refund(Option<Refunded>),
}

async fn ask(asker: Asker, work: DueWork) -> Answer {
    match work {
        DueWork::Resolve(purchase) => {
            let span = charge_span(&purchase.command);
            let result = asker.charge(&purchase).instrument(span).await;
            let booking_id = purchase.command.booking_id;
            Answer::Charge(Settlement { booking_id, result })
        }
        DueWork::Refund(purchase) => Answer::Refund(asker.refund(&purchase).await),
    }
}
