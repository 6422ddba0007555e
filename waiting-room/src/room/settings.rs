//! Settings: what is raised is recorded before the store allows it, what is lowered after, so
//! that no audit ever finds an admission the settings of its time did not allow.
use super::Inner;
use super::desk::Desk;
use crate::Error;
use ledger::books::LimitsChange;
use ledger::{Queue, QueueId, QueuePatch, QueueSettings, QueueState};
use std::sync::Arc;

impl Inner {
    pub(super) async fn configure(
        self: &Arc<Self>,
        queue: &QueueId,
        patch: QueuePatch,
    ) -> Result<Option<Queue>, Error> {
        let Some(desk) = self.desk(queue).await? else { return Ok(None) };
        let _turn = desk.configuring.lock().await;
        let Some(old) = self.events.queue(queue).await? else { return Ok(None) };
        self.change(&desk, &old, patch).await
    }

    /// Changes the settings from `old`, read by whoever has the desk's turn to configure.
    async fn change(
        self: &Arc<Self>,
        desk: &Desk,
        old: &Queue,
        patch: QueuePatch,
    ) -> Result<Option<Queue>, Error> {
        let queue = &old.id;
        let lowered = lowered(old.settings, patch.applied_to(old.settings));
        // The revision that the change will have: until then nobody applies older settings.
        let coming = old.revision + 1;
        let mut now = self.clock.now();
        if lowered != old.settings {
            let applied = self.apply(desk, lowered, coming).await?;
            // A slot given in the same millisecond was given under the old settings.
            now = self.clock.now().max(applied.plus_millis(1));
        }
        let patched = self.events.patch_queue(queue, patch, now).await;
        let current = match &patched {
            Ok(Some(queue)) => Some(queue.clone()),
            // Whatever stands in `Books` now is what counts.
            Ok(None) | Err(_) => self.events.queue(queue).await?,
        };
        if let Some(queue) = current {
            self.apply(desk, queue.settings, queue.revision.max(coming)).await?;
            desk.set_opens_at(queue.opens_at);
        }
        self.refresh(desk).await?;
        self.pace.notify_one();
        Ok(patched?)
    }

    async fn apply(
        &self,
        desk: &Desk,
        settings: QueueSettings,
        revision: u64,
    ) -> Result<ledger::Timestamp, Error> {
        let applied = self.ask(desk, |mark| self.store.configure(mark, settings, revision)).await;
        applied.map(|(_, at)| at)
    }

    /// Applies what another node changed in `Books`.
    pub(crate) async fn catch_up(self: &Arc<Self>, queue: &Queue) -> Result<Arc<Desk>, Error> {
        let desk = self.known_desk(&queue.id).await?;
        if queue.revision > desk.seen().snapshot.revision {
            let _turn = desk.configuring.lock().await;
            if let Some(queue) = self.events.queue(&queue.id).await? {
                self.apply(&desk, queue.settings, queue.revision).await?;
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
        self.change(&desk, &current, open).await?;
        tracing::info!(queue.id = %queue.id, "the queue opened");
        Ok(true)
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

/// The old settings, but for what the new ones forbid.
fn lowered(old: QueueSettings, new: QueueSettings) -> QueueSettings {
    let state = match new.state {
        QueueState::Open => old.state,
        QueueState::PreQueue | QueueState::Paused | QueueState::Closed => new.state,
    };
    QueueSettings {
        state,
        rate_per_minute: old.rate_per_minute.min(new.rate_per_minute),
        capacity: old.capacity.min(new.capacity),
        ..old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::Timestamp;

    #[test]
    fn only_what_forbids_is_applied_ahead() {
        let old = QueueSettings { rate_per_minute: 60, capacity: 10, ..QueueSettings::default() };
        let raised = QueueSettings { rate_per_minute: 90, capacity: 11, ..old };
        assert_eq!(lowered(old, raised), old);
        let mixed = QueueSettings { rate_per_minute: 90, capacity: 9, ..old };
        assert_eq!(lowered(old, mixed), QueueSettings { capacity: 9, ..old });
        let paused = QueueSettings { state: QueueState::Paused, ..old };
        assert_eq!(lowered(old, paused), paused);
        assert_eq!(lowered(paused, old), paused);
        let longer = QueueSettings { session_seconds: 1, ..old };
        assert_eq!(lowered(old, longer), old);
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
