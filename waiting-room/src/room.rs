//! The handle: everything that others ask of the waiting room.
mod answers;
mod parts;

mod queue_copy;
mod recovery;
mod status_keeper;

mod leases;
mod steps;

mod admitting;
mod claims;
mod joins;
mod sessions;
mod settings;

mod open_queues;
mod queue_handle;

use crate::pass::Passes;
use crate::{AdmissionPass, Error, IssuedPass, QueueStatus, QueueToken, Standing};
pub use answers::{ClaimAnswer, JoinAnswer, PassCheck, WalkIn};
use ledger::keys::Keyring;
use ledger::{AccountId, Clock, Queue, QueueId, QueuePatch, SlotRef};
pub(crate) use open_queues::OpenQueues;
pub(crate) use parts::Background;
pub use parts::Parts;
pub(crate) use queue_handle::QueueHandle;
use sessions::Leaver;
pub(crate) use settings::is_due;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::instrument;

/// The waiting room; clones share it.
#[derive(Clone)]
pub struct WaitingRoom {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) queues: OpenQueues,
    pub(crate) background: Background,
    pub(crate) config: crate::Config,
    pub(crate) clock: Clock,
    keys: Keyring,
    passes: Passes,
}

impl WaitingRoom {
    pub fn new(parts: Parts) -> Self {
        let background = Background::default();
        let inner = Inner {
            background: background.clone(),
            config: parts.config.clone(),
            clock: parts.clock.clone(),
            keys: parts.keys.clone(),
            passes: Passes::new(&parts.keys, &parts.config),
            queues: OpenQueues::new(parts, background),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The public resource; `None` when there is no such queue. Served from memory.
    #[instrument(level = "debug", skip_all, fields(queue.id = %queue))]
    pub async fn status(&self, queue: &QueueId) -> Result<Option<Arc<QueueStatus>>, Error> {
        let Some(handle) = self.inner.queues.get(queue).await? else { return Ok(None) };
        handle.status.watch().await;
        Ok(Some(handle.status.seen().status.clone()))
    }

    /// The status, if this node has it in memory and fresh: what a whole crowd asks for waits for
    /// nothing.
    pub fn status_now(&self, queue: &str) -> Option<Arc<QueueStatus>> {
        self.inner.queues.status_now(queue)
    }

    /// The queues that somebody asked for lately, or in which somebody waits, as far as this node
    /// knows.
    pub fn in_use(&self) -> Vec<QueueId> {
        let all = self.inner.queues.all();
        let used = all.iter().filter(|queue| !queue.status.is_idle());
        used.map(|queue| queue.status.queue().clone()).collect()
    }

    /// Bumped whenever the status of the queue changes in more than its `as_of`.
    #[instrument(level = "debug", skip_all, fields(queue.id = %queue))]
    pub async fn changes(&self, queue: &QueueId) -> Result<Option<watch::Receiver<u64>>, Error> {
        let Some(handle) = self.inner.queues.get(queue).await? else { return Ok(None) };
        let changes = handle.status.changes();
        handle.status.watch().await;
        Ok(Some(changes))
    }

    /// Joins the line. A live token that is shown keeps its place.
    #[instrument(level = "debug", skip_all, fields(queue.id = %queue))]
    pub async fn join(
        &self,
        queue: &QueueId,
        account: Option<&AccountId>,
        shown: Option<&str>,
    ) -> Result<JoinAnswer, Error> {
        match self.inner.queues.get(queue).await? {
            Some(handle) => handle.joiner.join(account, shown).await,
            None => Ok(JoinAnswer::NoSuchQueue),
        }
    }

    /// Reads a signed token; `None` unless these keys signed it for this queue.
    pub fn read_token(&self, queue: &QueueId, signed: &str) -> Option<QueueToken> {
        QueueToken::read(&self.inner.keys, queue, signed, self.inner.clock.now())
    }

    /// Where a place stands. Those who wait are answered from memory.
    #[instrument(level = "debug", skip_all, fields(queue.id = %token.queue))]
    pub async fn standing(&self, token: &QueueToken) -> Result<Standing, Error> {
        self.inner.queues.known(&token.queue).await?.status.standing(token).await
    }

    /// Takes a rate token and a slot for this place, or says why not.
    #[instrument(
        level = "debug",
        skip_all,
        fields(queue.id = %token.queue, account.id = %account)
    )]
    pub async fn claim(
        &self,
        token: &QueueToken,
        account: &AccountId,
    ) -> Result<ClaimAnswer, Error> {
        self.inner.queues.known(&token.queue).await?.claimer.claim(token, account).await
    }

    /// Straight through: the account's live slot if it has one, else a place, a step, a slot and
    /// an admission at once, if nobody waits and there is room.
    #[instrument(level = "debug", skip_all, fields(queue.id = %queue, account.id = %account))]
    pub async fn walk_in(&self, queue: &QueueId, account: &AccountId) -> Result<WalkIn, Error> {
        self.inner.queues.known(queue).await?.claimer.walk_in(account).await
    }

    /// The pass of the account's live slot, if it has one; none is given.
    #[instrument(level = "debug", skip_all, fields(queue.id = %queue, account.id = %account))]
    pub async fn live_pass(
        &self,
        queue: &QueueId,
        account: &AccountId,
    ) -> Result<Option<IssuedPass>, Error> {
        self.inner.queues.known(queue).await?.claimer.live_pass(account).await
    }

    /// Checks a pass for this queue and account, and that its slot is live.
    #[instrument(level = "debug", skip_all, fields(queue.id = %queue, account.id = %account))]
    pub async fn check_pass(
        &self,
        queue: &QueueId,
        account: &AccountId,
        jwt: &str,
    ) -> Result<PassCheck, Error> {
        let pass = self.read_pass(queue, jwt).filter(|pass| pass.account == *account);
        let Some(pass) = pass else { return Ok(PassCheck::Invalid) };
        let live = self.inner.queues.known(queue).await?.sessions.is_live(&pass).await?;
        Ok(if live { PassCheck::Live(pass) } else { PassCheck::Invalid })
    }

    /// Reads a pass by signature alone, for giving its slot back.
    pub fn read_pass(&self, queue: &QueueId, jwt: &str) -> Option<AdmissionPass> {
        self.inner.passes.read(queue, jwt, self.inner.clock.now())
    }

    /// Gives a slot back (or a place in line, if it was not admitted yet).
    #[instrument(level = "debug", skip_all, fields(queue.id = %slot.queue))]
    pub async fn leave(&self, slot: &SlotRef) -> Result<(), Error> {
        self.give_back(slot, Leaver::Holder).await
    }

    /// Ends a slot whose booking is confirmed; a place that is not admitted stays.
    #[instrument(level = "debug", skip_all, fields(queue.id = %slot.queue))]
    pub(crate) async fn end(&self, slot: &SlotRef) -> Result<(), Error> {
        self.give_back(slot, Leaver::Booking).await
    }

    async fn give_back(&self, slot: &SlotRef, who: Leaver) -> Result<(), Error> {
        // A queue that is not there has nothing to end.
        let Some(handle) = self.inner.queues.get(&slot.queue).await? else { return Ok(()) };
        handle.sessions.leave(slot, who).await
    }

    /// Changes a queue's settings, live. `None`: no such queue.
    #[instrument(level = "debug", skip_all, fields(queue.id = %queue))]
    pub async fn configure(
        &self,
        queue: &QueueId,
        patch: QueuePatch,
    ) -> Result<Option<Queue>, Error> {
        let Some(handle) = self.inner.queues.get(queue).await? else { return Ok(None) };
        handle.settings.configure(patch).await
    }

    /// Waits for commits in hand that no caller waits for. Nothing is lost without: `Books` know
    /// all that was promised.
    pub async fn drain(&self) {
        let tasks = &self.inner.background.tasks;
        tasks.close();
        tasks.wait().await;
    }
}

#[cfg(test)]
mod tests;
