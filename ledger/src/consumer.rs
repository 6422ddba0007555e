//! The one consumer of the booking log: joins a group, reads batches, has them carried out, commits.
mod isolation;
#[cfg(test)]
mod tests;

pub use isolation::{DeadLetters, Isolated, Isolation, Poison};

use crate::backoff::Backoff;
use crate::error::{Source, StoreError};
use crate::log::{BookingLog, DeadLetter, Delivery, Group, Subscription};
use crate::metrics;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The bounds of a consumer. Defaults live in `tidegate.default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The most messages one batch takes.
    pub batch_max: usize,
    /// The first pause after a store or the log failed, in milliseconds; each further one is twice
    /// as long.
    pub retry_min_ms: u64,
    /// The longest pause between two tries, in milliseconds.
    pub retry_max_ms: u64,
    /// The consumer leaves its group and joins it anew after the log failed so many times in a
    /// row. Stores that fail never make it leave.
    pub rejoin_after_failures: u32,
    /// The most messages in a row that are taken for poison. Beyond that the store itself is
    /// broken, and messages wait for the operator instead of being set aside.
    pub poison_in_a_row_max: u32,
}

/// A bound that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ledger.consumer.{name} {reason}")]
pub struct InvalidConsumerConfig {
    pub name: &'static str,
    pub reason: &'static str,
}

impl ConsumerConfig {
    /// Checks each bound and how they relate.
    pub fn validate(&self) -> Result<(), InvalidConsumerConfig> {
        let check = |holds: bool, name, reason| {
            if holds { Ok(()) } else { Err(InvalidConsumerConfig { name, reason }) }
        };
        let fits = (1..=65_536).contains(&self.batch_max);
        check(fits, "batch_max", "must be from 1 to 65536")?;
        check(self.retry_min_ms >= 1, "retry_min_ms", "must be at least 1")?;
        check(self.retry_max_ms >= self.retry_min_ms, "retry_max_ms", "is below retry_min_ms")?;
        check(self.rejoin_after_failures >= 1, "rejoin_after_failures", "must be at least 1")?;
        check(self.poison_in_a_row_max >= 1, "poison_in_a_row_max", "must be at least 1")
    }

    pub fn backoff(&self, group: Group) -> Backoff {
        Backoff::new(group, self.retry_min_ms, self.retry_max_ms)
    }
}

/// Why a batch did not have its whole effect.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// A store did not answer, or nobody knows what it did: the same messages are tried again.
    #[error("carrying out a batch failed")]
    Again(#[source] Source),
    /// A message of the batch can never be carried out.
    #[error("a message cannot be carried out")]
    Broken(#[source] Source),
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> Self {
        if error.is_broken() { Self::Broken(error.into()) } else { Self::Again(error.into()) }
    }
}

impl BatchError {
    /// What a batch came to whose messages were carried out side by side: a failure that may pass
    /// counts before one that stays, because only without it is a broken message known by itself.
    pub fn of_all<E: Into<Self>>(
        results: impl IntoIterator<Item = Result<(), E>>,
    ) -> Result<(), Self> {
        let mut worst = Ok(());
        for error in results.into_iter().filter_map(Result::err) {
            worst = match (worst, error.into()) {
                (Err(again @ Self::Again(_)), _) | (_, again @ Self::Again(_)) => Err(again),
                (Ok(()) | Err(Self::Broken(_)), broken @ Self::Broken(_)) => Err(broken),
            };
        }
        worst
    }
}

/// Carries out messages. Each must be harmless twice, and a batch may come again in part.
pub trait BatchHandler: Send + Sync {
    /// Returns once the whole batch has had its effect, durably.
    fn handle(&self, batch: &[Delivery]) -> impl Future<Output = Result<(), BatchError>> + Send;
}

/// How much of what was read has had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Everything.
    All,
    /// So many messages from the front; those behind are still being worked on.
    First(usize),
}

/// Reads one group's messages, at least once each, and commits them after their effect.
///
/// A store that is away is asked again with growing pauses. The consumer stays in its group
/// meanwhile, because a group that is left and joined at each failure only rebalances; Kafka gives
/// its partitions to others once it was not heard of for `poll_interval_max_ms`.
///
/// [`Self::run`] is the whole loop. A caller that works on several batches at once drives
/// [`Self::next`] and [`Self::try_commit`] itself.
pub struct Consumer {
    log: Arc<dyn BookingLog>,
    group: Group,
    config: ConsumerConfig,
    backoff: Backoff,
    subscription: Option<Box<dyn Subscription>>,
    /// Messages that were given out and are not committed.
    uncommitted: usize,
    reading: Attempts,
    committing: Attempts,
}

/// Failures in a row of one kind of call, and when it may be made again.
#[derive(Debug)]
struct Attempts {
    failures: u32,
    next_at: Instant,
}

impl Attempts {
    fn new() -> Self {
        Self { failures: 0, next_at: Instant::now() }
    }

    fn failed(&mut self, backoff: &Backoff, error: &StoreError) {
        self.failures = self.failures.saturating_add(1);
        let pause = backoff.failed(error, self.failures);
        self.next_at = later(pause);
    }
}

fn later(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

impl Consumer {
    pub fn new(log: Arc<dyn BookingLog>, group: Group, config: ConsumerConfig) -> Self {
        Self {
            log,
            group,
            backoff: config.backoff(group),
            config,
            subscription: None,
            uncommitted: 0,
            reading: Attempts::new(),
            committing: Attempts::new(),
        }
    }

    /// Runs until `shutdown`: a batch whose effect is under way is finished and committed first, a
    /// store that is away is not waited for. The group is left on return.
    pub async fn run<H: BatchHandler>(mut self, handler: H, shutdown: CancellationToken) {
        let isolation = Isolation::new(self.log.clone(), self.group, &self.config);
        while let Some(batch) = shutdown.run_until_cancelled(self.next(usize::MAX)).await {
            let call = |range: std::ops::Range<usize>| {
                let part = batch.get(range).unwrap_or_default();
                async { handler.handle(part).await.map(|()| Vec::<()>::new()) }
            };
            let Some(isolated) = isolation.run(batch.len(), call, &shutdown).await else { return };
            let letters = isolated.poison.iter().filter_map(|poison| {
                let delivery = batch.get(poison.index)?.clone();
                Some(DeadLetter { delivery, reason: poison.reason.clone() })
            });
            let letters: Vec<DeadLetter> = letters.collect();
            let set_aside = isolation.dead_letters().append(letters);
            if !isolated.poison.is_empty()
                && shutdown.run_until_cancelled(set_aside).await.is_none()
            {
                return;
            }
            while self.try_commit(Done::All).await.is_err() {
                let pause = tokio::time::sleep_until(self.committing.next_at);
                if shutdown.run_until_cancelled(pause).await.is_none() {
                    return;
                }
            }
            metrics::consumed(self.group, batch.len() as u64);
        }
    }

    /// The next batch, of at most `room` messages; it may be empty. Joins the group first if it
    /// must, and asks the log until it answers. Cancel-safe: a call that is dropped loses nothing.
    pub async fn next(&mut self, room: usize) -> Vec<Delivery> {
        loop {
            tokio::time::sleep_until(self.reading.next_at).await;
            match self.try_next(room.min(self.config.batch_max)).await {
                Ok(batch) => {
                    self.reading.failures = 0;
                    self.uncommitted = self.uncommitted.saturating_add(batch.len());
                    return batch;
                }
                Err(error) => {
                    self.reading.failed(&self.backoff, &error);
                    // What is being worked on is counted from the front of this subscription.
                    if self.gave_up(&self.reading) && self.uncommitted == 0 {
                        self.rejoin();
                    }
                }
            }
        }
    }

    async fn try_next(&mut self, max: usize) -> Result<Vec<Delivery>, StoreError> {
        let subscription = match &mut self.subscription {
            Some(subscription) => subscription,
            none => none.insert(self.log.subscribe(self.group).await?),
        };
        subscription.next(max).await
    }

    /// Commits what is done. `Err` is the moment from which it may be tried again. A log that
    /// takes no commit for long has the consumer join anew, and what was read comes again.
    pub async fn try_commit(&mut self, done: Done) -> Result<(), Instant> {
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        let (committed, left) = match done {
            Done::All => (subscription.commit().await, 0),
            Done::First(messages) => {
                let left = self.uncommitted.saturating_sub(messages);
                (subscription.commit_first(messages).await, left)
            }
        };
        if let Err(error) = committed {
            self.committing.failed(&self.backoff, &error);
            if !(done == Done::All && self.gave_up(&self.committing)) {
                return Err(self.committing.next_at);
            }
            self.rejoin();
        }
        self.committing.failures = 0;
        self.uncommitted = left;
        Ok(())
    }

    fn gave_up(&self, attempts: &Attempts) -> bool {
        attempts.failures >= self.config.rejoin_after_failures
    }

    fn rejoin(&mut self) {
        tracing::warn!(group = self.group.name(), "the log failed for long; joining anew");
        self.subscription = None;
        self.uncommitted = 0;
        self.reading.failures = 0;
    }
}
