//! Polling for what became of messages, on the runtime's own threads.
//!
//! librdkafka reports deliveries to whoever polls. A thread of its own that waits for it would free what the
//! runtime's threads allocate and wake their tasks from outside; both cost more than polling.
use super::{Deliveries, Producer};
use rdkafka::producer::{BaseProducer, Producer as _};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// How often it polls while messages are on their way: a fraction of the linger.
const BUSY_EVERY: Duration = Duration::from_millis(1);
/// How often otherwise, for news of the brokers.
const IDLE_EVERY: Duration = Duration::from_millis(100);
/// Reports come a batch at a time, log lines and errors between them one at a time. After so many
/// of them others get the thread, and after so many without a report nothing more is expected.
const POLLS_MAX: usize = 64;
const EMPTY_POLLS_MAX: usize = 8;

/// Polls every producer that it is given, for as long as that lives.
#[derive(Default)]
pub(super) struct DeliveryPoller {
    begun: Arc<Notify>,
    tasks: TaskTracker,
}

impl DeliveryPoller {
    pub(super) fn watch(&self, producer: &Producer) {
        let (producer, begun) = (Arc::downgrade(producer), self.begun.clone());
        self.tasks.spawn(async move {
            while let Some(busy) = poll(&producer) {
                if busy {
                    sleep(BUSY_EVERY).await;
                } else {
                    // Either way it is time to poll.
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

/// Takes what there is, and says whether more is to come; `None` when the producer is gone.
fn poll(producer: &Weak<BaseProducer<Deliveries>>) -> Option<bool> {
    let producer = producer.upgrade()?;
    let Deliveries { progress, in_flight, .. } = &**producer.client().context();
    let acknowledged = in_flight.acknowledged();
    let mut quiet = 0_usize;
    for _ in 0..POLLS_MAX {
        let ended = in_flight.ended();
        producer.poll(Duration::ZERO);
        quiet = if in_flight.ended() == ended { quiet.saturating_add(1) } else { 0 };
        if quiet == EMPTY_POLLS_MAX {
            break;
        }
    }
    if in_flight.acknowledged() > acknowledged {
        progress.acknowledged();
    }
    Some(in_flight.inflight() > 0)
}
