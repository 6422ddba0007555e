//! The payment worker: takes commands from the log and commits them once they had their effect.
use crate::asking::Asker;
use crate::backoff::{Backoff, warn_of};
use crate::gateway::PaymentGateway;
use crate::opening::Opener;
use crate::publishing::{Press, Publisher};
use crate::segment::segments;
use crate::settling::{Desk, Settler, finished};
use crate::window::Window;
use crate::{Config, metrics};
use ledger::books::Purchases;
use ledger::{
    BookingCommand, BookingLog, Clock, Delivery, Group, Message, StoreError, Subscription,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The loop from intent to settled.
///
/// Three parts hand work on: the intake reads a batch, has it opened in one transaction and goes on
/// reading; the desk charges and settles; the publisher appends the outcomes and reports back, so
/// that the intake commits the batches in order. A slow charge holds back only the commit, until
/// the window is full of messages behind it.
pub struct PaymentWorker {
    config: Config,
    purchases: Arc<dyn Purchases>,
    log: Arc<dyn BookingLog>,
    gateway: Arc<dyn PaymentGateway>,
    clock: Clock,
}

impl PaymentWorker {
    pub fn new(
        config: Config,
        purchases: Arc<dyn Purchases>,
        log: Arc<dyn BookingLog>,
        gateway: Arc<dyn PaymentGateway>,
        clock: Clock,
    ) -> Self {
        Self { config, purchases, log, gateway, clock }
    }

    /// Runs until `shutdown`, then finishes the batches in hand within `drain_timeout_ms`. What is
    /// not finished then was not committed and comes again.
    pub async fn run(self, shutdown: CancellationToken) {
        let drain_timeout = Duration::from_millis(self.config.drain_timeout_ms);
        let (intake, desk, publisher) = self.parts();
        // Dropped on return, which ends both.
        let mut parts = JoinSet::new();
        parts.spawn(desk.run());
        parts.spawn(publisher.run());
        tokio::select! {
            () = intake.run(shutdown.clone()) => {}
            () = elapsed(shutdown, drain_timeout) => {
                tracing::warn!("batches were in hand at the end and will be delivered again");
            }
            Some(ended) = parts.join_next() => {
                finished(ended);
                tracing::error!("a part of the payment worker ended before its time");
            }
        }
    }

    fn parts(self) -> (Intake, Desk, Publisher) {
        let Self { config, purchases, log, gateway, clock } = self;
        // A message is one piece of work at most, and the window takes no more messages: a send on
        // these channels never waits, so parts that wait for each other cannot lock up.
        let pieces_max = config.window_batches_max.saturating_mul(config.batch_max);
        let (charges, charges_to_make) = mpsc::channel(config.inflight_max);
        let (recorded, recorded_to_publish) = mpsc::channel(pieces_max);
        let (done_to, done) = mpsc::channel(pieces_max);
        let backoff = Backoff::new(&config);
        let asker = Asker::new(gateway, clock.clone(), &config);
        let settler = Settler {
            purchases: purchases.clone(),
            clock: clock.clone(),
            backoff,
            recorded: recorded.clone(),
        };
        let settle_batch_max = config.settle_batch_max;
        let desk = Desk { asker, settler, settle_batch_max, charges: charges_to_make };
        let publisher = Publisher {
            press: Press { log: log.clone(), purchases: purchases.clone() },
            backoff,
            batch_max: config.publish_batch_max,
            recorded: recorded_to_publish,
            done: done_to,
        };
        let opener = Opener {
            purchases,
            clock,
            backoff,
            batch_max: config.batch_max,
            places: Arc::new(Semaphore::new(config.inflight_max)),
            charges,
            recorded,
        };
        let window = Window::new(pieces_max);
        (Intake { log, opener, window, done, poll_at: Instant::now() }, desk, publisher)
    }
}

async fn elapsed(shutdown: CancellationToken, timeout: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(timeout).await;
}

/// Reads, opens, commits.
struct Intake {
    log: Arc<dyn BookingLog>,
    opener: Opener,
    window: Window,
    /// Pieces of work whose effect is recorded and published.
    done: mpsc::Receiver<Vec<u64>>,
    /// The log is not asked before this.
    poll_at: Instant,
}

impl Intake {
    async fn run(mut self, shutdown: CancellationToken) {
        let Some(mut subscription) = self.subscribe(&shutdown).await else { return };
        let (mut poll_failures, mut commit_failures) = (0, 0);
        let mut commit_at = Instant::now();
        loop {
            let stopping = shutdown.is_cancelled();
            if stopping && self.window.is_empty() {
                return;
            }
            let room = self.window.room();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(commit_at), if self.window.finished().is_some() => {
                    let committed = self.commit(&mut *subscription).await;
                    commit_at = self.next_try(&committed, &mut commit_failures);
                }
                Some(pieces) = self.done.recv() => {
                    pieces.into_iter().for_each(|number| self.window.finish(number));
                }
                () = shutdown.cancelled(), if !stopping => {}
                polled = self.opener.poll(&mut *subscription, self.poll_at, room),
                    if room > 0 && !stopping =>
                {
                    self.poll_at = self.next_try(&polled, &mut poll_failures);
                    if let Ok(batch) = polled {
                        self.take(batch).await;
                    }
                }
            }
            metrics::window(self.window.len());
        }
    }

    async fn subscribe(&self, shutdown: &CancellationToken) -> Option<Box<dyn Subscription>> {
        tokio::select! {
            () = shutdown.cancelled() => None,
            subscription = self.opener.backoff.insist(|| self.log.subscribe(Group::PaymentWorker)) => {
                Some(subscription)
            }
        }
    }

    /// When a call may be made again: at once, or after a pause when it failed.
    fn next_try<T>(&self, result: &Result<T, StoreError>, failures: &mut u32) -> Instant {
        match result {
            Ok(_) => {
                *failures = 0;
                Instant::now()
            }
            Err(error) => {
                *failures = failures.saturating_add(1);
                metrics::store_retry();
                warn_of(error, "the booking log does not answer and is asked again");
                Instant::now() + self.opener.backoff.after(*failures)
            }
        }
    }

    async fn commit(&mut self, subscription: &mut dyn Subscription) -> Result<(), StoreError> {
        let Some(finished) = self.window.finished() else { return Ok(()) };
        if finished.all {
            subscription.commit().await?;
        } else {
            subscription.commit_first(finished.messages).await?;
        }
        self.window.forget(finished);
        Ok(())
    }

    async fn take(&mut self, batch: Vec<Delivery>) {
        let messages = batch.len();
        if messages == 0 && !self.window.is_empty() {
            // Without messages nothing would bound their number; a later commit covers it.
            return;
        }
        let oldest = batch.iter().map(|delivery| delivery.appended_at).min();
        let commands = batch.into_iter().filter_map(command).collect();
        let segments = segments(commands);
        let places: usize = segments.iter().map(|segment| segment.places.len()).sum();
        let cancels: usize = segments.iter().map(|segment| segment.cancels.len()).sum();
        if let Some(oldest) = oldest {
            let wait = self.opener.clock.now().millis_since(oldest);
            metrics::commands(places, cancels, wait);
        }
        let number = self.window.start(messages, places + cancels);
        for segment in segments {
            self.opener.open(number, segment).await;
        }
    }
}

fn command(delivery: Delivery) -> Option<BookingCommand> {
    match delivery.message {
        Message::Command(command) => Some(command),
        Message::Outcome(_) => {
            tracing::error!("an outcome was delivered among the commands");
            None
        }
    }
}
