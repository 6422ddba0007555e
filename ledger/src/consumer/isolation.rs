//! Finding the one message that spoils a batch, so that the others pass and it is set aside.
use super::{BatchError, ConsumerConfig};
use crate::backoff::Backoff;
use crate::log::{BookingLog, DeadLetter, Group};
use crate::metrics;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_util::sync::CancellationToken;

/// A reason repeats what was found; so much of it is enough.
const REASON_CHARS_MAX: usize = 500;

/// Carries out work item by item if need be: what fails as broken is halved until each broken item
/// stands alone, and everything else has its effect. Clones share the count of poison in a row.
#[derive(Clone)]
pub struct Isolation {
    group: Group,
    backoff: Backoff,
    dead_letters: DeadLetters,
    poison_in_a_row_max: u32,
    poison_in_a_row: Arc<AtomicU32>,
}

/// What became of the items.
#[derive(Debug, PartialEq, Eq)]
pub struct Isolated<A> {
    /// The answers of the calls that succeeded, in the order of the items.
    pub answers: Vec<A>,
    pub poison: Vec<Poison>,
}

/// An item that can never be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    pub index: usize,
    pub reason: String,
}

/// Items that are still to be carried out, and what became of the others.
struct Work<A> {
    /// Ranges of items, the next one last.
    open: Vec<Range<usize>>,
    /// Items that failed as broken since the last call that succeeded: until then the store may
    /// be to blame as well.
    suspects: Vec<Poison>,
    isolated: Isolated<A>,
}

impl<A> Work<A> {
    fn of(items: usize) -> Self {
        let whole = 0..items;
        let isolated = Isolated { answers: Vec::new(), poison: Vec::new() };
        Self { open: vec![whole], suspects: Vec::new(), isolated }
    }

    fn left(&self) -> usize {
        self.open.iter().map(ExactSizeIterator::len).sum()
    }
}

impl Isolation {
    pub fn new(log: Arc<dyn BookingLog>, group: Group, config: &ConsumerConfig) -> Self {
        let backoff = config.backoff(group);
        Self {
            group,
            backoff,
            dead_letters: DeadLetters { log, group, backoff },
            poison_in_a_row_max: config.poison_in_a_row_max,
            poison_in_a_row: Arc::default(),
        }
    }

    pub fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    /// Calls `call` for all items, in order, until each has had its effect or is known as poison.
    /// A failure that may pass is tried again for as long as it takes. `None`: `stop` came while
    /// waiting for the next try.
    pub async fn run<A, E, F, Answer>(
        &self,
        items: usize,
        call: F,
        stop: &CancellationToken,
    ) -> Option<Isolated<A>>
    where
        E: Into<BatchError>,
        F: Fn(Range<usize>) -> Answer,
        Answer: Future<Output = Result<Vec<A>, E>>,
    {
        let mut work = Work::of(items);
        let mut failures = 0u32;
        loop {
            let left = work.left();
            let Err(error) = self.advance(&mut work, &call).await else {
                return Some(work.isolated);
            };
            failures = if work.left() == left { failures.saturating_add(1) } else { 1 };
            let pause = tokio::time::sleep(self.backoff.failed(&error, failures));
            stop.run_until_cancelled(pause).await?;
        }
    }

    /// As [`Self::run`], for callers that are dropped instead of being told to stop.
    pub async fn run_to_end<A, E, F, Answer>(&self, items: usize, call: F) -> Isolated<A>
    where
        E: Into<BatchError>,
        F: Fn(Range<usize>) -> Answer,
        Answer: Future<Output = Result<Vec<A>, E>>,
    {
        let never = CancellationToken::new();
        self.run(items, call, &never).await.expect("a token that nobody has is not cancelled")
    }

    /// As [`Self::run`], but gives up at the first failure that may pass.
    pub async fn try_run<A, E, F, Answer>(
        &self,
        items: usize,
        call: F,
    ) -> Result<Isolated<A>, BatchError>
    where
        E: Into<BatchError>,
        F: Fn(Range<usize>) -> Answer,
        Answer: Future<Output = Result<Vec<A>, E>>,
    {
        let mut work = Work::of(items);
        self.advance(&mut work, &call).await?;
        Ok(work.isolated)
    }

    /// Goes on until nothing is left or a call fails in a way that may pass.
    async fn advance<A, E, F, Answer>(&self, work: &mut Work<A>, call: &F) -> Result<(), BatchError>
    where
        E: Into<BatchError>,
        F: Fn(Range<usize>) -> Answer,
        Answer: Future<Output = Result<Vec<A>, E>>,
    {
        while let Some(range) = work.open.pop() {
            if range.is_empty() {
                continue;
            }
            let error = match call(range.clone()).await {
                Ok(answers) => {
                    self.poison_in_a_row.store(0, Ordering::Relaxed);
                    work.isolated.poison.append(&mut work.suspects);
                    work.isolated.answers.extend(answers);
                    continue;
                }
                Err(error) => error.into(),
            };
            match error {
                BatchError::Broken(_) if range.len() > 1 => {
                    let half = range.start.midpoint(range.end);
                    work.open.extend([half..range.end, range.start..half]);
                }
                BatchError::Broken(_) if self.is_poison() => {
                    let reason = reason_of(&error);
                    work.suspects.push(Poison { index: range.start, reason });
                }
                BatchError::Broken(_) => {
                    work.open.push(range);
                    // The store is to blame, so nobody is a suspect any more.
                    let cleared = work.suspects.drain(..).rev();
                    work.open.extend(cleared.map(|p| p.index..p.index.saturating_add(1)));
                    return Err(error);
                }
                BatchError::Again(_) => {
                    work.open.push(range);
                    return Err(error);
                }
            }
        }
        work.isolated.poison.append(&mut work.suspects);
        Ok(())
    }

    /// Whether an item that failed as broken is to blame, not the store: a store that refuses
    /// everything would set the whole log aside.
    fn is_poison(&self) -> bool {
        let before = self.poison_in_a_row.load(Ordering::Relaxed);
        if before >= self.poison_in_a_row_max {
            tracing::error!(
                group = self.group.name(),
                in_a_row = before,
                "a store refuses message after message; they wait until it is mended"
            );
            self.poison_in_a_row.store(0, Ordering::Relaxed);
            return false;
        }
        self.poison_in_a_row.store(before.saturating_add(1), Ordering::Relaxed);
        true
    }
}

/// Where poison goes: the dead-letter topic, with an alarm.
#[derive(Clone)]
pub struct DeadLetters {
    log: Arc<dyn BookingLog>,
    group: Group,
    backoff: Backoff,
}

impl DeadLetters {
    /// Returns once the log has acknowledged all of them.
    pub async fn append(&self, letters: Vec<DeadLetter>) {
        if letters.is_empty() {
            return;
        }
        for letter in &letters {
            let DeadLetter { delivery, reason } = letter;
            tracing::error!(
                group = self.group.name(),
                topic = delivery.message.topic().name(),
                partition = delivery.position.partition,
                offset = delivery.position.offset,
                booking.id = delivery.message.key(),
                reason,
                "a message cannot be carried out and is set aside"
            );
        }
        self.backoff.retry_until_ok(|| self.log.append_dead(self.group, &letters)).await;
        metrics::dead_lettered(self.group, letters.len() as u64);
    }
}

/// The causes of an error, outermost first.
fn reason_of(error: &BatchError) -> String {
    let mut reason = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !reason.is_empty() {
            reason.push_str(": ");
        }
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    reason.chars().take(REASON_CHARS_MAX).collect()
}
