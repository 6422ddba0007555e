//! A booking log that loses replies or is down, when it is told to.
use async_trait::async_trait;
use ledger::{Backlog, BookingLog, DeadLetter, Group, Message, StoreError, Subscription};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which faults there are now. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Both>);

#[derive(Default)]
struct Both {
    lost_replies: AtomicBool,
    down: AtomicBool,
}

impl Faults {
    /// What is appended arrives, and nobody hears of it.
    pub(crate) fn lose_replies(&self, now: bool) {
        self.0.lost_replies.store(now, Ordering::Release);
    }

    /// Nothing arrives.
    pub(crate) fn be_down(&self, now: bool) {
        self.0.down.store(now, Ordering::Release);
    }
}

pub(crate) struct FaultyLog {
    log: Arc<dyn BookingLog>,
    faults: Faults,
}

impl FaultyLog {
    pub(crate) fn new(log: Arc<dyn BookingLog>, faults: Faults) -> Self {
        Self { log, faults }
    }
}

#[async_trait]
impl BookingLog for FaultyLog {
    async fn append(&self, messages: Vec<Message>) -> Result<(), StoreError> {
        if self.faults.0.down.load(Ordering::Acquire) {
            return Err(StoreError::unavailable("appending", "the test took it down"));
        }
        self.log.append(messages).await?;
        if self.faults.0.lost_replies.load(Ordering::Acquire) {
            return Err(StoreError::unknown("appending", "the test lost the reply"));
        }
        Ok(())
    }

    async fn subscribe(&self, group: Group) -> Result<Box<dyn Subscription>, StoreError> {
        self.log.subscribe(group).await
    }

    async fn append_dead(&self, group: Group, letters: &[DeadLetter]) -> Result<(), StoreError> {
        self.log.append_dead(group, letters).await
    }

    async fn backlog(&self, group: Group) -> Result<Backlog, StoreError> {
        self.log.backlog(group).await
    }
}
