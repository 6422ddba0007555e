//! The pacer: calls people as fast as rate and room allow, and keeps an eye on every queue.
use crate::metrics::Totals;
use crate::room::{Desk, Inner, WaitingRoom};
use ledger::{Queue, QueueState};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often the queues in `Books` are read: new ones, and settings that another node changed.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// However often it is rung, the pacer rests so long between two looks.
const REST: Duration = Duration::from_millis(5);

/// Moves `now_serving` of every queue.
pub struct Pacer {
    room: WaitingRoom,
    /// The queues as `Books` knew them.
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
        let mut listed: Option<Instant> = None;
        // Queues that nobody watches and in which nobody waits are looked at less often.
        let rare = Duration::from_millis(room.config.board_idle_ms);
        let mut looked: Option<Instant> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = tick.tick() => {}
                () = room.pace.notified() => {}
            }
            if listed.is_none_or(|at| at.elapsed() >= LIST_EVERY) {
                self.list(&room).await;
                listed = Some(Instant::now());
            }
            self.open_due(&room).await;
            let idle = looked.is_none_or(|at| at.elapsed() >= rare);
            if idle {
                looked = Some(Instant::now());
            }
            for desk in room.desks() {
                if idle || !desk.is_idle() {
                    pace(&room, desk).await;
                }
            }
            tokio::time::sleep(REST).await;
        }
        room.settled().await;
    }

    async fn list(&mut self, room: &Arc<Inner>) {
        match room.queues().await {
            Ok(queues) => self.queues = queues,
            Err(error) => {
                tracing::warn!(%error, "the queues cannot be listed");
                return;
            }
        }
        let mut totals = Totals::default();
        for queue in &self.queues {
            match room.catch_up(queue).await {
                Ok(desk) => add(&mut totals, &desk),
                Err(error) => {
                    tracing::warn!(%error, queue.id = %queue.id, "a queue cannot be paced");
                }
            }
        }
        totals.show();
    }

    async fn open_due(&mut self, room: &Arc<Inner>) {
        for queue in &mut self.queues {
            if !room.is_due(queue) || self.held.get(&queue.id) == Some(&queue.revision) {
                continue;
            }
            match room.open_due(queue).await {
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

/// Calls whoever may be called, unless a step of this queue is being committed.
async fn pace(room: &Arc<Inner>, desk: Arc<Desk>) {
    if desk.stepping.swap(true, Ordering::AcqRel) {
        return;
    }
    match room.propose(&desk).await {
        Ok(Some((generation, step))) => return room.step_in_background(desk, generation, step),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, queue.id = %desk.id, "the queue cannot be paced");
        }
    }
    desk.stepping.store(false, Ordering::Release);
}

fn add(totals: &mut Totals, desk: &Desk) {
    let seen = desk.seen();
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
