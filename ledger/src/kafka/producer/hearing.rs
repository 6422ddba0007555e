//! Hearing what became of messages, on the runtime's own threads.
//!
//! librdkafka tells it to whoever asks. A thread of its own that waits for it would free what the
//! runtime's threads allocate and wake their tasks from outside; both cost more than asking.
use super::{Deliveries, Producer};
use rdkafka::producer::{BaseProducer, Producer as _};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// How often it is asked while messages are on their way: a fraction of the linger.
const BUSY_EVERY: Duration = Duration::from_millis(1);
/// How often otherwise, for news of the brokers.
const IDLE_EVERY: Duration = Duration::from_millis(100);
/// Reports come a batch at a time; after so many batches others get the thread.
const BATCHES_MAX: usize = 64;

/// Asks every producer that it is told of, for as long as it lives.
pub(super) struct Hearing {
    room: Arc<Semaphore>,
    all: usize,
    begun: Arc<Notify>,
    tasks: TaskTracker,
}

impl Hearing {
    /// `room` has all its permits when nothing is on its way.
    pub(super) fn new(room: Arc<Semaphore>) -> Self {
        let all = room.available_permits();
        Self { room, all, begun: Arc::new(Notify::new()), tasks: TaskTracker::new() }
    }

    pub(super) fn of(&self, producer: &Producer) {
        let (room, all, begun) = (self.room.clone(), self.all, self.begun.clone());
        let producer = Arc::downgrade(producer);
        self.tasks.spawn(async move {
            while hear(&producer) {
                if room.available_permits() < all {
                    sleep(BUSY_EVERY).await;
                } else {
                    // Either way it is time to ask.
                    let _ = timeout(IDLE_EVERY, begun.notified()).await;
                }
            }
        });
    }

    /// Something is on its way.
    pub(super) fn wake(&self) {
        self.begun.notify_one();
    }
}

/// Takes what there is; false when the producer is gone.
fn hear(producer: &Weak<BaseProducer<Deliveries>>) -> bool {
    let Some(producer) = producer.upgrade() else { return false };
    let reported = || producer.client().context().reported.load(Ordering::Relaxed);
    for _ in 0..BATCHES_MAX {
        let before = reported();
        producer.poll(Duration::ZERO);
        if reported() == before {
            break;
        }
    }
    true
}
