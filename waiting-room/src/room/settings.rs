//! Settings: what is raised is recorded before the store allows it, what is lowered after, so
//! that no audit ever finds an admission the settings of its time did not allow.
use super::Inner;
use super::desk::Desk;
use crate::Error;
use crate::line::forbidding;
use crate::store::Change;
use ledger::books::{LimitsChange, Patched};
use ledger::{Queue, QueueId, QueuePatch, QueueState, StoreError, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a change is tried that other nodes' changes come before.
const TRIES: usize = 10;
/// Settings that were announced to the store and are not recorded for so long never will be:
/// whoever announced them is gone. Longer than any commit takes.
const ANNOUNCED_MAX: Duration = Duration::from_secs(10);

impl Inner {
    pub(super) async fn configure(
        self: &Arc<Self>,
        queue: &QueueId,
        patch: QueuePatch,
    ) -> Result<Option<Queue>, Error> {
        let Some(desk) = self.desk(queue).await? else { return Ok(None) };
        let _turn = desk.configuring.lock().await;
        for _ in 0..TRIES {
            let Some(old) = self.events.queue(queue).await? else { return Ok(None) };
            match self.change(&desk, &old, patch).await? {
                Patched::Done(queue) => return Ok(Some(queue)),
                Patched::NoSuchQueue => return Ok(None),
                Patched::Stale => {}
            }
        }
        Err(StoreError::unavailable("changing a queue", "others keep changing it").into())
    }

    /// Changes the settings from `old`, read by whoever has the desk's turn to configure. Other
    /// nodes have turns of their own: what they recorded meanwhile makes this one stale.
    async fn change(
        self: &Arc<Self>,
        desk: &Desk,
        old: &Queue,
        patch: QueuePatch,
    ) -> Result<Patched, Error> {
        let queue = &old.id;
        let settings = forbidding(old.settings, patch.applied_to(old.settings));
        // The revision that the change will have: until then nobody applies older settings.
        let coming = Change { settings, revision: old.revision + 1, recorded: false };
        // Changes are recorded on the store's clock, as admissions are.
        let mut now = self.apply(desk, coming).await?;
        if settings != old.settings {
            // A slot given in the same millisecond was given under the old settings.
            now = now.plus_millis(1);
        }
        let patched = self.events.patch_queue(queue, old.revision, patch, now).await;
        let current = match &patched {
            Ok(Patched::Done(queue)) => Some(queue.clone()),
            // Whatever stands in `Books` now is what counts.
            Ok(Patched::Stale | Patched::NoSuchQueue) | Err(_) => self.events.queue(queue).await?,
        };
        // If nothing is recorded yet, it still may be: what was announced stays in force.
        if let Some(queue) = current.filter(|queue| queue.revision > old.revision) {
            self.apply(desk, recorded(&queue, queue.revision)).await?;
            desk.set_opens_at(queue.opens_at);
        }
        self.refresh(desk).await?;
        self.pace.notify_one();
        Ok(patched?)
    }

    async fn apply(&self, desk: &Desk, change: Change) -> Result<Timestamp, Error> {
        let applied = self.ask(desk, |mark| self.store.configure(mark, change)).await;
        applied.map(|(_, at)| at)
    }

    /// Applies what another node changed in `Books`, and what nobody finished.
    pub(crate) async fn catch_up(self: &Arc<Self>, queue: &Queue) -> Result<Arc<Desk>, Error> {
        let desk = self.known_desk(&queue.id).await?;
        if is_behind(&desk, queue) {
            let _turn = desk.configuring.lock().await;
            if let Some(queue) = self.events.queue(&queue.id).await? {
                let revision = queue.revision.max(desk.seen().snapshot.revision);
                self.apply(&desk, recorded(&queue, revision)).await?;
                desk.set_opens_at(queue.opens_at);
                self.refresh(&desk).await?;
            }
        }
        Ok(desk)
    }

    /// Every queue there is.
    pub(crate) async fn queues(&self) -> Result<Vec<Queue>, Error> {
        Ok(self.events.queues().await?)
    }

    /// Opens a pre-queue whose time has come. False when somebody made it a pre-queue after that
    /// time: then it waits for somebody to open it. False as well when somebody has changed it
    /// since `queue` was read: what an admin says meanwhile is never overwritten.
    pub(crate) async fn open_due(self: &Arc<Self>, queue: &Queue) -> Result<bool, Error> {
        let Some(desk) = self.desk(&queue.id).await? else { return Ok(false) };
        let _turn = desk.configuring.lock().await;
        let current = self.events.queue(&queue.id).await?;
        let Some(current) = current.filter(|now| now.revision == queue.revision) else {
            return Ok(false);
        };
        let history = self.events.limits(&queue.id).await?;
        if !self.is_due(&current) || !opens_by_itself(&history, &current) {
            return Ok(false);
        }
        let open = QueuePatch { state: Some(QueueState::Open), ..QueuePatch::default() };
        let opened = matches!(self.change(&desk, &current, open).await?, Patched::Done(_));
        if opened {
            tracing::info!(queue.id = %queue.id, "the queue opened");
        }
        Ok(opened)
    }

    pub(crate) fn is_due(&self, queue: &Queue) -> bool {
        queue.settings.state == QueueState::PreQueue && queue.opens_at <= self.clock.now()
    }
}

/// True when the queue was a pre-queue before its opening time came.
fn opens_by_itself(history: &[LimitsChange], queue: &Queue) -> bool {
    let pre_queue = |change: &&LimitsChange| change.settings.state == QueueState::PreQueue;
    let since = history.iter().rev().take_while(pre_queue).last();
    since.is_some_and(|change| change.at < queue.opens_at)
}

fn recorded(queue: &Queue, revision: u64) -> Change {
    Change { settings: queue.settings, revision, recorded: true }
}

/// True when the store lacks what `Books` have: somebody was killed between the two, or changed
/// them on a node that does not reach the store.
fn is_behind(desk: &Desk, queue: &Queue) -> bool {
    let snapshot = desk.seen().snapshot;
    let mut announced = desk.announced.lock().expect("no panic while the lock is held");
    if snapshot.revision <= queue.revision {
        *announced = None;
        return snapshot.revision < queue.revision || snapshot.settings != queue.settings;
    }
    match *announced {
        Some((revision, since)) if revision == snapshot.revision => {
            since.elapsed() >= ANNOUNCED_MAX && snapshot.settings != queue.settings
        }
        Some(_) | None => {
            *announced = Some((snapshot.revision, Instant::now()));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::QueueSettings;

    #[test]
    fn only_what_forbids_is_applied_ahead() {
        let old = QueueSettings { rate_per_minute: 60, capacity: 10, ..QueueSettings::default() };
        let raised = QueueSettings { rate_per_minute: 90, capacity: 11, ..old };
        assert_eq!(forbidding(old, raised), old);
        let mixed = QueueSettings { rate_per_minute: 90, capacity: 9, ..old };
        assert_eq!(forbidding(old, mixed), QueueSettings { capacity: 9, ..old });
        let paused = QueueSettings { state: QueueState::Paused, ..old };
        assert_eq!(forbidding(old, paused), paused);
        assert_eq!(forbidding(paused, old), paused);
        let longer = QueueSettings { session_seconds: 1, ..old };
        assert_eq!(forbidding(old, longer), old);
    }

    #[test]
    fn a_queue_opens_by_itself_only_if_it_waited_for_its_time() {
        let opens_at = Timestamp::from_millis(1_000);
        let settings = QueueSettings::default();
        let queue = Queue { id: QueueId::parse("q").unwrap(), settings, opens_at, revision: 1 };
        let change = |at, state| LimitsChange {
            at: Timestamp::from_millis(at),
            settings: QueueSettings { state, ..settings },
        };
        let (pre, open) = (QueueState::PreQueue, QueueState::Open);
        for (history, opens) in [
            (vec![], false),
            (vec![change(0, pre)], true),
            (vec![change(0, pre), change(2_000, pre)], true),
            (vec![change(1_000, pre)], false),
            (vec![change(0, open), change(2_000, pre)], false),
            (vec![change(0, pre), change(1_000, open), change(2_000, pre)], false),
            (vec![change(0, open), change(999, pre)], true),
        ] {
            assert_eq!(opens_by_itself(&history, &queue), opens, "{history:?}");
        }
    }
}
