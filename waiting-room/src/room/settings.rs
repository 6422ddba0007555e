//! Settings: what is raised is recorded before the store allows it, what is lowered after, so
//! that no audit ever finds an admission the settings of its time did not allow.
use super::parts::Background;
use super::queue_copy::QueueCopy;
use super::status_keeper::StatusKeeper;
use crate::line::forbidding;
use crate::store::SettingsChange;
use crate::{Error, Parts};
use ledger::books::{LimitsChange, Patched, Queues};
use ledger::{Queue, QueuePatch, QueueState, StoreError, Timestamp, lock};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often a change is tried that other nodes' changes come before.
const TRIES: usize = 10;
/// The settings of one queue, as admins and the clock change them.
pub(crate) struct Settings {
    copy: Arc<QueueCopy>,
    status: Arc<StatusKeeper>,
    queues: Arc<dyn Queues>,
    pace: Arc<Notify>,
    /// Settings that were announced to the store and are not recorded for so long never will be:
    /// whoever announced them is gone.
    announced_max: Duration,
    configuring: tokio::sync::Mutex<()>,
    /// A revision that the store has and `Books` have not, and since when this node knows.
    announced: Mutex<Option<(u64, Instant)>>,
}

impl Settings {
    pub(super) fn new(
        parts: &Parts,
        background: &Background,
        copy: Arc<QueueCopy>,
        status: Arc<StatusKeeper>,
    ) -> Self {
        Self {
            copy,
            status,
            queues: parts.queues.clone(),
            pace: background.pace.clone(),
            announced_max: Duration::from_millis(parts.config.settings_recorded_within_ms),
            configuring: tokio::sync::Mutex::default(),
            announced: Mutex::default(),
        }
    }

    /// Settings change one at a time.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.configuring.lock().await
    }

    pub(super) async fn configure(&self, patch: QueuePatch) -> Result<Option<Queue>, Error> {
        let _turn = self.turn().await;
        for _ in 0..TRIES {
            let Some(old) = self.queues.queue(self.copy.id()).await? else { return Ok(None) };
            match self.change(&old, patch).await? {
                Patched::Done(queue) => return Ok(Some(queue)),
                Patched::NoSuchQueue => return Ok(None),
                Patched::Stale => {}
            }
        }
        Err(StoreError::unavailable("changing a queue", "others keep changing it").into())
    }

    /// Changes the settings from `old`, read by whoever has the turn to configure. Other nodes
    /// have turns of their own: what they recorded meanwhile makes this one stale.
    async fn change(&self, old: &Queue, patch: QueuePatch) -> Result<Patched, Error> {
        let queue = &old.id;
        let settings = forbidding(old.settings, patch.applied_to(old.settings));
        // The revision that the change will have: until then nobody applies older settings.
        let coming = SettingsChange { settings, revision: old.revision + 1, recorded: false };
        // Changes are recorded on the store's clock, as admissions are.
        let mut now = self.apply(coming).await?;
        if settings != old.settings {
            // A slot given in the same millisecond was given under the old settings.
            now = now.plus_millis(1);
        }
        let patched = self.queues.patch_queue(queue, old.revision, patch, now).await;
        let current = match &patched {
            Ok(Patched::Done(queue)) => Some(queue.clone()),
            // Whatever stands in `Books` now is what counts.
            Ok(Patched::Stale | Patched::NoSuchQueue) | Err(_) => self.queues.queue(queue).await?,
        };
        // If nothing is recorded yet, it still may be: what was announced stays in force.
        if let Some(queue) = current.filter(|queue| queue.revision > old.revision) {
            self.apply(recorded(&queue, queue.revision)).await?;
            self.copy.set_opens_at(queue.opens_at);
        }
        self.status.refresh().await?;
        self.pace.notify_one();
        Ok(patched?)
    }

    async fn apply(&self, change: SettingsChange) -> Result<Timestamp, Error> {
        let applied = self.copy.call(|store, at| store.configure(at, change)).await;
        applied.map(|(_, at)| at)
    }

    /// Applies what another node changed in `Books`, and what nobody finished.
    pub(crate) async fn catch_up(&self, queue: &Queue) -> Result<(), Error> {
        if self.is_behind(queue) {
            let _turn = self.turn().await;
            if let Some(queue) = self.queues.queue(&queue.id).await? {
                let revision = queue.revision.max(self.status.seen().snapshot.revision);
                self.apply(recorded(&queue, revision)).await?;
                self.copy.set_opens_at(queue.opens_at);
                self.status.refresh().await?;
            }
        }
        Ok(())
    }

    /// True when the store lacks what `Books` have: somebody was killed between the two, or
    /// changed them on a node that does not reach the store.
    fn is_behind(&self, queue: &Queue) -> bool {
        let snapshot = self.status.seen().snapshot;
        let mut announced = lock(&self.announced);
        if snapshot.revision <= queue.revision {
            *announced = None;
            return snapshot.revision < queue.revision || snapshot.settings != queue.settings;
        }
        match *announced {
            Some((revision, since)) if revision == snapshot.revision => {
                since.elapsed() >= self.announced_max && snapshot.settings != queue.settings
            }
            Some(_) | None => {
                *announced = Some((snapshot.revision, Instant::now()));
                false
            }
        }
    }

    /// Opens a pre-queue whose time has come. False when somebody made it a pre-queue after that
    /// time: then it waits for somebody to open it. False as well when somebody has changed it
    /// since `queue` was read: what an admin says meanwhile is never overwritten.
    pub(crate) async fn open_due(&self, queue: &Queue) -> Result<bool, Error> {
        let _turn = self.turn().await;
        let current = self.queues.queue(&queue.id).await?;
        let Some(current) = current.filter(|now| now.revision == queue.revision) else {
            return Ok(false);
        };
        let history = self.queues.limits(&queue.id).await?;
        if !is_due(&current, self.copy.now()) || !opens_by_itself(&history, &current) {
            return Ok(false);
        }
        let open = QueuePatch { state: Some(QueueState::Open), ..QueuePatch::default() };
        let opened = matches!(self.change(&current, open).await?, Patched::Done(_));
        if opened {
            tracing::info!(queue.id = %queue.id, "the queue opened");
        }
        Ok(opened)
    }
}

pub(crate) fn is_due(queue: &Queue, now: Timestamp) -> bool {
    queue.settings.state == QueueState::PreQueue && queue.opens_at <= now
}

/// True when the queue was a pre-queue before its opening time came.
fn opens_by_itself(history: &[LimitsChange], queue: &Queue) -> bool {
    let pre_queue = |change: &&LimitsChange| change.settings.state == QueueState::PreQueue;
    let since = history.iter().rev().take_while(pre_queue).last();
    since.is_some_and(|change| change.at < queue.opens_at)
}

fn recorded(queue: &Queue, revision: u64) -> SettingsChange {
    SettingsChange { settings: queue.settings, revision, recorded: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{QueueId, QueueSettings};

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
