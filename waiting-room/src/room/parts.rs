//! What a waiting room is made of.
use crate::store::QueueStore;
use crate::{Config, Pressures};
use ledger::Clock;
use ledger::books::{Admissions, QueueProgress, Queues};
use ledger::keys::Keyring;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

/// What a waiting room is made of.
#[derive(Clone)]
pub struct Parts {
    pub store: Arc<dyn QueueStore>,
    pub progress: Arc<dyn QueueProgress>,
    pub admissions: Arc<dyn Admissions>,
    pub queues: Arc<dyn Queues>,
    pub keys: Keyring,
    pub clock: Clock,
    pub config: Config,
    /// What the stages behind feel.
    pub pressure: watch::Receiver<Pressures>,
}

/// What goes on beside the calls.
#[derive(Clone, Default)]
pub(crate) struct Background {
    /// Rung when a line may move: a slot ended, somebody joined, settings changed.
    pub(crate) pace: Arc<Notify>,
    /// Joins, leases and commits that no caller waits for.
    pub(crate) tasks: TaskTracker,
}
