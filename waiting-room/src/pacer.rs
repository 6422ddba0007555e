//! The pacer: calls people as fast as rate and room allow, and keeps an eye on every queue.
use crate::Error;
use crate::metrics::Totals;
use crate::room::{Inner, QueueHandle, WaitingRoom, is_due};
use ledger::{Queue, QueueState};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// However often it is rung, the pacer rests so long between two looks.
const REST: Duration = Duration::from_millis(5);

/// Reading the list of all queues takes at most so small a part of the time …
const LISTING_SHARE: u32 = 100;
/// … but is never put off for longer.
const LIST_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Moves `now_serving` of every queue.
pub struct Pacer {
    room: WaitingRoom,
    /// The pre-queues as `Books` knew them.
    queues: Vec<Queue>,
    /// Pre-queues that do not open by themselves at this revision.
    held: HashMap<ledger::QueueId, u64>,
}

impl Pacer {
    pub fn new(room: WaitingRoom) -> Self {
        Self { room, queues: Vec::new(), held: HashMap::new() }
    }

    /// Runs until told to stop; the steps in hand are finished first.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let room = self.room.inner.clone();
        let mut tick = interval(Duration::from_millis(room.config.pacer_interval_ms.max(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // New queues, and settings that another node changed.
        let mut list_at = Instant::now();
        // Queues that nobody watches and in which nobody waits are looked at less often.
        let idle_least = Duration::from_millis(room.config.board_idle_ms);
        let mut looked: Option<Instant> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = tick.tick() => {}
                () = room.background.pace.notified() => {}
            }
            if Instant::now() >= list_at {
                let began = Instant::now();
                self.list(&room).await;
                list_at = Instant::now() + list_interval(&room, began.elapsed());
            }
            self.open_due(&room).await;
            let rare = room.background.idle_interval(idle_least);
            let idle = looked.is_none_or(|at| at.elapsed() >= rare);
            if idle {
                looked = Some(Instant::now());
            }
            for queue in room.queues.all() {
                if idle || !queue.status.is_idle() {
                    queue.stepper.pace().await;
                }
            }
            tokio::time::sleep(REST).await;
        }
        self.room.drain().await;
    }

    async fn list(&mut self, room: &Inner) {
        let recorded = match room.queues.recorded().await {
            Ok(queues) => queues,
            Err(error) => {
                tracing::warn!(%error, "the queues cannot be listed");
                return;
            }
        };
        let mut totals = Totals::default();
        for queue in &recorded {
            // Nobody waits in a queue that nobody has asked for: whoever does asks for it.
            let Some(handle) = room.queues.opened(&queue.id) else { continue };
            match handle.settings.catch_up(queue).await {
                Ok(()) => add(&mut totals, &handle),
                Err(error) => {
                    tracing::warn!(%error, queue.id = %queue.id, "a queue cannot be paced");
                }
            }
        }
        totals.show();
        let pre_queue = |queue: &Queue| queue.settings.state == QueueState::PreQueue;
        self.queues = recorded.into_iter().filter(pre_queue).collect();
    }

    async fn open_due(&mut self, room: &Inner) {
        for queue in &mut self.queues {
            if !is_due(queue, room.clock.now()) || self.held.get(&queue.id) == Some(&queue.revision)
            {
                continue;
            }
            match open_due(room, queue).await {
                Ok(true) => queue.settings.state = QueueState::Open,
                Ok(false) => {
                    self.held.insert(queue.id.clone(), queue.revision);
                }
                Err(error) => {
                    tracing::warn!(%error, queue.id = %queue.id, "a queue cannot be opened");
                }
            }
        }
        let queues = &self.queues;
        self.held.retain(|id, _| queues.iter().any(|queue| queue.id == *id));
    }
}

fn list_interval(room: &Inner, took: Duration) -> Duration {
    let least = Duration::from_millis(room.config.list_interval_ms);
    least.max((took * LISTING_SHARE).min(LIST_INTERVAL_MAX))
}

async fn open_due(room: &Inner, queue: &Queue) -> Result<bool, Error> {
    let Some(handle) = room.queues.get(&queue.id).await? else { return Ok(false) };
    handle.settings.open_due(queue).await
}

fn add(totals: &mut Totals, queue: &QueueHandle) {
    let seen = queue.status.seen();
    let snapshot = &seen.snapshot;
    totals.queues += 1;
    totals.active += snapshot.active;
    if snapshot.settings.state == QueueState::Open {
        totals.capacity += u64::from(snapshot.settings.capacity);
    }
    totals.waiting += snapshot.joined.saturating_sub(snapshot.now_serving);
    totals.now_serving += snapshot.now_serving;
    totals.head_age_millis = totals.head_age_millis.max(snapshot.head_age_millis);
}
