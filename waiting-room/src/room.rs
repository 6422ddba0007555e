//! The handle: everything that others ask of the waiting room.
mod admitting;
mod claims;
mod desk;
mod joins;
mod leases;
mod recovery;
mod settings;
mod steps;

use crate::metrics::Counters;
use crate::pass::Passes;
use crate::store::QueueStore;
use crate::{
    AdmissionPass, Board, Config, Error, IssuedPass, Pressure, Pressures, QueueToken, Standing,
};
pub(crate) use desk::Desk;
use ledger::books::{Admissions, Events};
use ledger::keys::Keyring;
use ledger::{AccountId, Clock, IdSource, Queue, QueueId, QueuePatch, SlotRef};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

/// What a waiting room is made of.
pub struct Parts {
    pub store: Arc<dyn QueueStore>,
    pub admissions: Arc<dyn Admissions>,
    pub events: Arc<dyn Events>,
    pub keys: Keyring,
    pub clock: Clock,
    pub ids: IdSource,
    pub config: Config,
    /// What the stages behind feel.
    pub pressure: watch::Receiver<Pressures>,
}

/// The answer to a join.
#[derive(Debug)]
pub enum JoinAnswer {
    /// A new place. `token` is the signed text.
    Joined {
        token: String,
        standing: Standing,
    },
    /// The live token that was shown, and where it stands.
    Same {
        token: String,
        standing: Standing,
    },
    Closed,
    NoSuchQueue,
}

/// The answer to a claim.
#[derive(Debug)]
pub enum ClaimAnswer {
    Admitted(IssuedPass),
    NotYet(Standing),
    /// The token belongs to another account.
    TokenUsed,
    /// Too late, or the session of this place is over.
    Missed,
    Closed,
}

/// The answer to somebody who locks seats without a pass.
#[derive(Debug)]
pub enum WalkIn {
    Admitted(IssuedPass),
    QueueRequired,
    Closed,
}

/// Whether a pass opens the shop.
#[derive(Debug, PartialEq, Eq)]
pub enum PassCheck {
    Live(AdmissionPass),
    Invalid,
}

/// The waiting room; clones share it.
#[derive(Clone)]
pub struct WaitingRoom {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    store: Arc<dyn QueueStore>,
    admissions: Arc<dyn Admissions>,
    events: Arc<dyn Events>,
    keys: Keyring,
    passes: Passes,
    clock: Clock,
    ids: IdSource,
    pub(crate) config: Config,
    pressure: watch::Receiver<Pressures>,
    desks: RwLock<HashMap<QueueId, Arc<Desk>>>,
    /// First touches of queues go one after another.
    opening: tokio::sync::Mutex<()>,
    /// Rung when a line may move: a slot ended, somebody joined, settings changed.
    pub(crate) pace: Notify,
    /// Joins, leases and commits that no caller waits for.
    tasks: TaskTracker,
    /// Keepers of boards; they end with the waiting room.
    boards: TaskTracker,
    counters: Counters,
}

impl WaitingRoom {
    pub fn new(parts: Parts) -> Self {
        let Parts { store, admissions, events, keys, clock, ids, config, pressure } = parts;
        let passes = Passes {
            keys: keys.clone(),
            issuer: config.issuer.clone(),
            leeway_seconds: config.leeway_seconds,
        };
        let inner = Inner {
            store,
            admissions,
            events,
            keys,
            passes,
            clock,
            ids,
            config,
            pressure,
            desks: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
            pace: Notify::new(),
            tasks: TaskTracker::new(),
            boards: TaskTracker::new(),
            counters: Counters::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The public resource; `None` when there is no such queue. Served from memory.
    pub async fn board(&self, queue: &QueueId) -> Result<Option<Arc<Board>>, Error> {
        let Some(desk) = self.inner.desk(queue).await? else { return Ok(None) };
        self.inner.watch(&desk).await;
        Ok(Some(desk.seen().board.clone()))
    }

    /// The board, if this node has it in memory and fresh: what a whole crowd asks for waits for
    /// nothing.
    pub fn board_now(&self, queue: &str) -> Option<Arc<Board>> {
        self.inner.board_now(queue)
    }

    /// Bumped whenever the board of the queue changes in more than its `as_of`.
    pub async fn changes(&self, queue: &QueueId) -> Result<Option<watch::Receiver<u64>>, Error> {
        let Some(desk) = self.inner.desk(queue).await? else { return Ok(None) };
        let changes = desk.changes();
        self.inner.watch(&desk).await;
        Ok(Some(changes))
    }

    /// Joins the line. A live token that is shown keeps its place.
    pub async fn join(
        &self,
        queue: &QueueId,
        account: Option<&AccountId>,
        shown: Option<&str>,
    ) -> Result<JoinAnswer, Error> {
        self.inner.join(queue, account, shown).await
    }

    /// Reads a signed token; `None` unless these keys signed it for this queue.
    pub fn read_token(&self, queue: &QueueId, signed: &str) -> Option<QueueToken> {
        QueueToken::read(&self.inner.keys, queue, signed, self.inner.clock.now())
    }

    /// Where a place stands. Those who wait are answered from memory.
    pub async fn standing(&self, token: &QueueToken) -> Result<Standing, Error> {
        let desk = self.inner.known_desk(&token.queue).await?;
        self.inner.standing(&desk, token).await
    }

    /// Takes a rate token and a slot for this place, or says why not.
    pub async fn claim(
        &self,
        token: &QueueToken,
        account: &AccountId,
    ) -> Result<ClaimAnswer, Error> {
        self.inner.claim(token, account).await
    }

    /// Straight through: the account's live slot if it has one, else a place, a step, a slot and
    /// an admission at once, if nobody waits and there is room.
    pub async fn walk_in(&self, queue: &QueueId, account: &AccountId) -> Result<WalkIn, Error> {
        self.inner.walk_in(queue, account).await
    }

    /// Checks a pass for this queue and account, and that its slot is live.
    pub async fn check_pass(
        &self,
        queue: &QueueId,
        account: &AccountId,
        jwt: &str,
    ) -> Result<PassCheck, Error> {
        let pass = self.read_pass(queue, jwt).filter(|pass| pass.account == *account);
        let Some(pass) = pass else { return Ok(PassCheck::Invalid) };
        let live = self.inner.is_live(&pass).await?;
        Ok(if live { PassCheck::Live(pass) } else { PassCheck::Invalid })
    }

    /// Reads a pass by signature alone, for giving its slot back.
    pub fn read_pass(&self, queue: &QueueId, jwt: &str) -> Option<AdmissionPass> {
        self.inner.passes.read(queue, jwt, self.inner.clock.now())
    }

    /// Gives a slot back (or a place in line, if it was not admitted yet).
    pub async fn leave(&self, slot: &SlotRef) -> Result<(), Error> {
        self.inner.leave(slot, true).await
    }

    /// Ends a slot whose booking is confirmed; a place that is not admitted stays.
    pub(crate) async fn end(&self, slot: &SlotRef) -> Result<(), Error> {
        self.inner.leave(slot, false).await
    }

    /// Changes a queue's settings, live. `None`: no such queue.
    pub async fn configure(
        &self,
        queue: &QueueId,
        patch: QueuePatch,
    ) -> Result<Option<Queue>, Error> {
        self.inner.configure(queue, patch).await
    }

    /// Waits for commits in hand that no caller waits for. Nothing is lost without: `Books` know
    /// all that was promised.
    pub async fn drain(&self) {
        self.inner.settled().await;
    }
}

impl Inner {
    fn pressure(&self, queue: &QueueId) -> Option<Pressure> {
        self.pressure.borrow().get(queue).copied()
    }

    /// Waits until nothing is left in hand.
    pub(crate) async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn is_sold_out(&self, queue: &QueueId) -> bool {
        self.pressure(queue).is_some_and(|pressure| pressure.sold_out)
    }

    pub(crate) fn is_slow(&self, queue: &QueueId) -> bool {
        self.pressure(queue).is_some_and(|pressure| pressure.slow)
    }
}

#[cfg(test)]
mod tests;
