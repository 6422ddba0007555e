//! The payment worker: takes commands from the log and commits them once they had their effect.
use crate::asking::Asker;
use crate::opening::Opener;
use crate::publishing::{OutboxAppender, Publisher};
use crate::segment::{Origin, segments};
use crate::settling::{Charger, Settler, finished};
use crate::window::Window;
use crate::{Parts, metrics};
use ledger::consumer::{Done, Isolation};
use ledger::{BookingCommand, Consumer, ConsumerConfig, Delivery, Group, Message};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

/// The loop from intent to settled.
///
/// Three parts hand work on: the intake reads a batch, has it opened in one transaction and goes on
/// reading; the charger charges and settles; the publisher appends the outcomes and reports back,
/// so that the intake commits the batches in order. A slow charge holds back only the commit, until
/// the window is full of messages behind it.
pub struct PaymentWorker {
    parts: Parts,
}

impl PaymentWorker {
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Runs until `shutdown`, then finishes the batches in hand within `drain_timeout_ms`. What is
    /// not finished then was not committed and comes again.
    pub async fn run(self, shutdown: CancellationToken) {
        let run = self.work(shutdown);
        run.instrument(info_span!("payment_worker")).await;
    }

    async fn work(self, shutdown: CancellationToken) {
        let drain_timeout = Duration::from_millis(self.parts.config.drain_timeout_ms);
        let (intake, charger, publisher) = self.workers();
        // Dropped on return, which ends both.
        let mut others = JoinSet::new();
        others.spawn(charger.run());
        others.spawn(publisher.run());
        tokio::select! {
            () = intake.run(shutdown.clone()) => {}
            () = elapsed(shutdown, drain_timeout) => {
                tracing::warn!("batches were in hand at the end and will be delivered again");
            }
            Some(ended) = others.join_next() => {
                finished(ended);
                tracing::error!("a part of the payment worker ended before its time");
            }
        }
    }

    fn workers(self) -> (Intake, Charger, Publisher) {
        let Parts { config, consumer, purchases, outbox, log, gateway, clock } = self.parts;
        let consumer = ConsumerConfig { batch_max: config.batch_max, ..consumer };
        // A message is one piece of work at most, and the window takes no more messages: a send on
        // these channels never waits, so parts that wait for each other cannot lock up.
        let pieces_max = config.window_batches_max.saturating_mul(config.batch_max);
        let (charges, charges_to_make) = mpsc::channel(config.inflight_max);
        let (recorded, recorded_to_publish) = mpsc::channel(pieces_max);
        let (done_to, done) = mpsc::channel(pieces_max);
        let isolation = || Isolation::new(log.clone(), Group::PaymentWorker, &consumer);
        let charger = Charger {
            asker: Asker::new(gateway, clock.clone(), &config),
            settler: Settler {
                purchases: purchases.clone(),
                clock: clock.clone(),
                isolation: isolation(),
                recorded: recorded.clone(),
            },
            settle_batch_max: config.settle_batch_max,
            charges: charges_to_make,
        };
        let publisher = Publisher {
            outbox: OutboxAppender { log: log.clone(), outbox },
            isolation: isolation(),
            batch_max: config.publish_batch_max,
            recorded: recorded_to_publish,
            done: done_to,
        };
        let opener = Opener {
            purchases,
            clock,
            isolation: isolation(),
            permits: Arc::new(Semaphore::new(config.inflight_max)),
            charges,
            recorded,
        };
        let consumer = Consumer::new(log, Group::PaymentWorker, consumer);
        let intake = Intake { consumer, opener, window: Window::new(pieces_max), done };
        (intake, charger, publisher)
    }
}

async fn elapsed(shutdown: CancellationToken, timeout: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(timeout).await;
}

/// Reads, opens, commits.
struct Intake {
    consumer: Consumer,
    opener: Opener,
    window: Window,
    /// Pieces of work whose effect is recorded and published.
    done: mpsc::Receiver<Vec<u64>>,
}

impl Intake {
    async fn run(mut self, shutdown: CancellationToken) {
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
                    if let Err(next_try) = self.commit().await {
                        commit_at = next_try;
                    }
                }
                Some(pieces) = self.done.recv() => {
                    pieces.into_iter().for_each(|number| self.window.finish(number));
                }
                () = shutdown.cancelled(), if !stopping => {}
                batch = self.opener.poll(&mut self.consumer, room), if room > 0 && !stopping => {
                    self.take(batch).await;
                }
            }
            metrics::window(self.window.len());
        }
    }

    async fn commit(&mut self) -> Result<(), Instant> {
        let Some(finished) = self.window.finished() else { return Ok(()) };
        let done = if finished.all { Done::All } else { Done::First(finished.messages) };
        self.consumer.try_commit(done).await?;
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

fn command(delivery: Delivery) -> Option<(Origin, BookingCommand)> {
    let Delivery { message, position, appended_at } = delivery;
    match message {
        Message::Command(command) => Some((Origin { position, appended_at }, command)),
        Message::Outcome(_) => {
            tracing::error!("an outcome was delivered among the commands");
            None
        }
    }
}
