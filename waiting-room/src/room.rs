//! The handle: everything that others ask of the waiting room.
use crate::{AdmissionPass, Error, IssuedPass, QueueToken, Standing};
use ledger::{AccountId, Queue, QueueId, QueuePatch, SlotRef};
use std::sync::Arc;
use tokio::sync::watch;

/// The public resource of a queue, the same bytes for everyone.
#[derive(Debug, PartialEq, Eq)]
pub struct Board {
    /// The JSON body.
    pub body: Vec<u8>,
    /// A strong entity tag, quotes included.
    pub etag: String,
    pub now_serving: u64,
    pub state: ledger::QueueState,
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
pub struct WaitingRoom {}

impl WaitingRoom {
    /// The public resource; `None` when there is no such queue. Served from memory.
    pub async fn board(&self, _queue: &QueueId) -> Result<Option<Arc<Board>>, Error> {
        todo!()
    }

    /// Bumped whenever the board of the queue changes.
    pub async fn changes(&self, _queue: &QueueId) -> Result<Option<watch::Receiver<u64>>, Error> {
        todo!()
    }

    /// Joins the line. A live token that is shown keeps its place.
    pub async fn join(
        &self,
        _queue: &QueueId,
        _account: Option<&AccountId>,
        _shown: Option<&str>,
    ) -> Result<JoinAnswer, Error> {
        todo!()
    }

    /// Reads a signed token; `None` unless these keys signed it for this queue.
    pub fn read_token(&self, _queue: &QueueId, _signed: &str) -> Option<QueueToken> {
        todo!()
    }

    pub async fn standing(&self, _token: &QueueToken) -> Result<Standing, Error> {
        todo!()
    }

    pub async fn claim(
        &self,
        _token: &QueueToken,
        _account: &AccountId,
    ) -> Result<ClaimAnswer, Error> {
        todo!()
    }

    /// Straight through: the account's live slot if it has one, else a place, a step, a slot and
    /// an admission at once, if nobody waits and there is room.
    pub async fn walk_in(&self, _queue: &QueueId, _account: &AccountId) -> Result<WalkIn, Error> {
        todo!()
    }

    /// Checks a pass for this queue and account, and that its slot is live.
    pub async fn check_pass(
        &self,
        _queue: &QueueId,
        _account: &AccountId,
        _jwt: &str,
    ) -> Result<PassCheck, Error> {
        todo!()
    }

    /// Reads a pass by signature alone, for giving its slot back.
    pub fn read_pass(&self, _queue: &QueueId, _jwt: &str) -> Option<AdmissionPass> {
        todo!()
    }

    /// Gives a slot back (or a place in line, if it was not admitted yet).
    pub async fn leave(&self, _slot: &SlotRef) -> Result<(), Error> {
        todo!()
    }

    /// Changes a queue's settings, live. `None`: no such queue.
    pub async fn configure(
        &self,
        _queue: &QueueId,
        _patch: QueuePatch,
    ) -> Result<Option<Queue>, Error> {
        todo!()
    }
}
