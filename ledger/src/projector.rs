//! The projector: carries what both topics say into the views, and tells who waits for it.
mod changes;

pub use changes::{BookingChanges, BookingWatch};

use crate::booking::{Booking, BookingCommand};
use crate::books::Purchases;
use crate::error::StoreError;
use crate::log::{BookingLog, Delivery, Group, Message, Subscription};
use crate::metrics;
use crate::page::{Cursor, LIMIT_MAX};
use crate::views::Views;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The projector's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectorConfig {
    /// Messages taken at once.
    pub batch_max: usize,
    /// The wait after a first failure; it doubles with each further one.
    pub retry_min: Duration,
    pub retry_max: Duration,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self {
            batch_max: 500,
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(5),
        }
    }
}

/// Why the views could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[error("projecting bookings into the views")]
pub struct ProjectorError(#[from] StoreError);

impl ProjectorError {
    /// Always: what was not committed comes again, and a view takes each version once.
    pub fn is_retryable(&self) -> bool {
        true
    }
}

/// Reads the booking log and keeps the views up to date. Never the truth: see [`rebuild`].
pub struct Projector {
    log: Arc<dyn BookingLog>,
    views: Arc<dyn Views>,
    changes: BookingChanges,
    config: ProjectorConfig,
}

impl Projector {
    pub fn new(log: Arc<dyn BookingLog>, views: Arc<dyn Views>, config: ProjectorConfig) -> Self {
        Self { log, views, changes: BookingChanges::default(), config }
    }

    /// Where the requests of this node hear that a booking changed.
    pub fn changes(&self) -> BookingChanges {
        self.changes.clone()
    }

    /// Runs until `shutdown`; the batch in hand is finished first. A store that fails is tried
    /// again for as long as it takes.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ProjectorError> {
        let mut retry = Retry::new(&self.config);
        let mut subscription = None;
        while !shutdown.is_cancelled() {
            match self.turn(&mut subscription, &shutdown).await {
                Ok(()) => retry.reset(),
                Err(error) => {
                    metrics::projection_failed();
                    tracing::warn!(error = &error as &dyn std::error::Error, "projecting failed");
                    // Joined anew, the group gives out again what was not committed.
                    subscription = None;
                    shutdown.run_until_cancelled(tokio::time::sleep(retry.next())).await;
                }
            }
        }
        Ok(())
    }

    /// One batch: read, put, tell, commit.
    async fn turn(
        &self,
        subscription: &mut Option<Box<dyn Subscription>>,
        shutdown: &CancellationToken,
    ) -> Result<(), ProjectorError> {
        let subscription = match subscription {
            Some(subscription) => subscription,
            None => subscription.insert(self.log.subscribe(Group::Projector).await?),
        };
        let next = subscription.next(self.config.batch_max);
        let Some(batch) = shutdown.run_until_cancelled(next).await else { return Ok(()) };
        let batch = batch?;
        let bookings: Vec<Booking> = batch.iter().filter_map(view_of).collect();
        if !bookings.is_empty() {
            self.views.put(&bookings).await?;
            self.changes.tell(bookings.iter().map(|booking| &booking.id));
        }
        subscription.commit().await?;
        metrics::projected(batch.len() as u64);
        Ok(())
    }
}

/// What a message shows of a booking. A cancel shows nothing until its outcome comes.
fn view_of(delivery: &Delivery) -> Option<Booking> {
    match &delivery.message {
        Message::Command(BookingCommand::Place(command)) => Some(Booking::placed(command)),
        Message::Command(BookingCommand::Cancel(_)) => None,
        Message::Outcome(outcome) => Some(outcome.booking.clone()),
    }
}

/// Puts every booking of the books into the views, beside a running projector or without one;
/// returns how many.
pub async fn rebuild(purchases: &dyn Purchases, views: &dyn Views) -> Result<u64, ProjectorError> {
    let mut done: u64 = 0;
    let mut after = None;
    loop {
        let page = purchases.purchases(Cursor { after, limit: LIMIT_MAX }).await?;
        let bookings: Vec<Booking> = page.items.iter().map(|purchase| purchase.booking()).collect();
        views.rewrite(&bookings).await?;
        done = done.saturating_add(bookings.len() as u64);
        after = page.next;
        if after.is_none() {
            return Ok(done);
        }
    }
}

/// Waits that double, up to a bound.
struct Retry {
    min: Duration,
    max: Duration,
    wait: Duration,
}

impl Retry {
    fn new(config: &ProjectorConfig) -> Self {
        Self { min: config.retry_min, max: config.retry_max, wait: config.retry_min }
    }

    fn next(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = wait.saturating_mul(2).min(self.max);
        wait
    }

    fn reset(&mut self) {
        self.wait = self.min;
    }
}
