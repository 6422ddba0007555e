//! Claims: a slot from the store, its admission in `Books`, then the pass.
use super::admitting::AdmissionWriter;
use super::answers::{ClaimAnswer, WalkIn};
use super::leases::Leaser;
use super::parts::Background;
use super::queue_copy::QueueCopy;
use super::status_keeper::StatusKeeper;
use super::steps::Stepper;
use crate::metrics::{Answered, PASSES_ISSUED_TOTAL, claimed, walked_in};
use crate::pass::Passes;
use crate::store::{ClaimOutcome, Grant, NotYet, SlotAnswer, SlotRequest};
use crate::{AdmissionPass, Error, IssuedPass, Parts, QueueToken};
use ledger::books::Admitted;
use ledger::{AccountId, Admission, SlotRef};
use metrics::{Counter, counter};
use std::sync::Arc;
use tokio::sync::Notify;

/// How often a claim is tried whose copy was lost under it, or that ran out of numbers.
const TRIES: usize = 3;

/// Admits people from one queue.
pub(super) struct Claimer {
    copy: Arc<QueueCopy>,
    status: Arc<StatusKeeper>,
    leaser: Arc<Leaser>,
    stepper: Arc<Stepper>,
    writer: Arc<AdmissionWriter>,
    passes: Passes,
    pace: Arc<Notify>,
    issued: Counter,
}

/// What became of a grant.
enum Outcome {
    Admitted(IssuedPass),
    TokenUsed,
    Over,
    /// The copy was lost meanwhile: ask the new one.
    Again,
}

impl Claimer {
    pub(super) fn new(
        parts: &Parts,
        background: &Background,
        copy: Arc<QueueCopy>,
        status: Arc<StatusKeeper>,
        leaser: Arc<Leaser>,
        stepper: Arc<Stepper>,
    ) -> Self {
        let writer = AdmissionWriter::new(parts, background, copy.id().clone());
        Self {
            copy,
            status,
            leaser,
            stepper,
            writer: Arc::new(writer),
            passes: Passes::new(&parts.keys, &parts.config),
            pace: background.pace.clone(),
            issued: counter!(PASSES_ISSUED_TOTAL),
        }
    }

    pub(super) async fn claim(
        &self,
        token: &QueueToken,
        account: &AccountId,
    ) -> Result<ClaimAnswer, Error> {
        if token.account.as_ref().is_some_and(|owner| owner != account) {
            claimed(Answered::TokenUsed);
            return Ok(ClaimAnswer::TokenUsed);
        }
        let Some(number) = token.number else {
            return Ok(ClaimAnswer::NotYet(self.status.standing(token).await?));
        };
        let fresh = !self.status.is_sold_out();
        let request = SlotRequest { account: account.clone(), number: Some(number), fresh };
        for _ in 0..TRIES {
            let (generation, taken) =
                self.copy.call(|store, at| store.take(at, request.clone())).await?;
            match taken {
                SlotAnswer::Granted(grant) => match self.commit(generation, grant).await? {
                    Outcome::Admitted(pass) => {
                        claimed(Answered::Admitted);
                        return Ok(ClaimAnswer::Admitted(pass));
                    }
                    Outcome::TokenUsed => {
                        claimed(Answered::TokenUsed);
                        return Ok(ClaimAnswer::TokenUsed);
                    }
                    Outcome::Over => {
                        claimed(Answered::Over);
                        return Ok(ClaimAnswer::Missed);
                    }
                    Outcome::Again => {}
                },
                SlotAnswer::NotYet { why, ask_after_millis } => {
                    claimed(Answered::NotYet(why));
                    let standing = self.status.standing(token).await?;
                    return Ok(ClaimAnswer::NotYet(standing.asked_again_after(ask_after_millis)));
                }
                SlotAnswer::TokenUsed => {
                    claimed(Answered::TokenUsed);
                    return Ok(ClaimAnswer::TokenUsed);
                }
                SlotAnswer::Over => {
                    claimed(Answered::Over);
                    return Ok(ClaimAnswer::Missed);
                }
                SlotAnswer::Closed => {
                    claimed(Answered::Closed);
                    return Ok(ClaimAnswer::Closed);
                }
                // Only a walk-in takes numbers.
                SlotAnswer::NoNumbers => return Err(Error::Recovering),
            }
        }
        Err(Error::Recovering)
    }

    pub(super) async fn walk_in(&self, account: &AccountId) -> Result<WalkIn, Error> {
        let fresh = !self.status.is_slow();
        let request = SlotRequest { account: account.clone(), number: None, fresh };
        for _ in 0..TRIES {
            let (generation, taken) =
                self.copy.call(|store, at| store.take(at, request.clone())).await?;
            match taken {
                SlotAnswer::Granted(grant) => {
                    match self.commit(generation, grant).await? {
                        Outcome::Admitted(pass) => {
                            walked_in(Answered::Admitted);
                            return Ok(WalkIn::Admitted(pass));
                        }
                        // The number just given cannot be another's: the copy was behind.
                        Outcome::TokenUsed | Outcome::Over | Outcome::Again => {}
                    }
                }
                SlotAnswer::NotYet { why, .. } => {
                    walked_in(Answered::NotYet(why));
                    return Ok(WalkIn::QueueRequired);
                }
                SlotAnswer::Closed => {
                    walked_in(Answered::Closed);
                    return Ok(WalkIn::Closed);
                }
                SlotAnswer::NoNumbers => self.leaser.top_up(1).await?,
                // Both are answers to a number, which a walk-in has not.
                SlotAnswer::TokenUsed | SlotAnswer::Over => {
                    walked_in(Answered::NotYet(NotYet::Waiting));
                    return Ok(WalkIn::QueueRequired);
                }
            }
        }
        Err(Error::Recovering)
    }

    /// The pass of the account's live slot, if it has one; none is given.
    pub(super) async fn live_pass(&self, account: &AccountId) -> Result<Option<IssuedPass>, Error> {
        let request = SlotRequest { account: account.clone(), number: None, fresh: false };
        let (generation, taken) =
            self.copy.call(|store, at| store.take(at, request.clone())).await?;
        let SlotAnswer::Granted(grant) = taken else { return Ok(None) };
        Ok(match self.commit(generation, grant).await? {
            Outcome::Admitted(pass) => Some(pass),
            Outcome::TokenUsed | Outcome::Over | Outcome::Again => None,
        })
    }

    /// Commits what the store granted: step and admission together, then tells the store.
    async fn commit(&self, generation: u64, grant: Grant) -> Result<Outcome, Error> {
        if grant.committed {
            return self.pass(&grant).map(Outcome::Admitted);
        }
        let row = Admission {
            slot: SlotRef { queue: self.copy.id().clone(), number: grant.number },
            account: grant.account.clone(),
            at: grant.at,
            until: grant.until,
            ended_at: None,
            source: grant.source,
        };
        let admitting = self.writer.admit(generation, row);
        let (stepped, admitted) = match grant.step {
            None => (Ok(()), admitting.await),
            Some(step) => tokio::join!(self.stepper.commit(generation, step), admitting),
        };
        if let Err(error) = stepped {
            // The admission counts all the same; the pacer proposes the step again.
            tracing::warn!(%error, queue.id = %self.copy.id(), "a step cannot be committed");
        }
        self.conclude(generation, grant, admitted).await
    }

    async fn conclude(
        &self,
        generation: u64,
        grant: Grant,
        admitted: Result<Admitted, Error>,
    ) -> Result<Outcome, Error> {
        let number = grant.number;
        match admitted {
            Ok(Admitted::Done) => {}
            Ok(Admitted::Exists(row)) if row.account == grant.account => {
                if !row.is_live(self.copy.now()) {
                    self.settle(number, ClaimOutcome::Committed).await?;
                    self.settle(number, ClaimOutcome::Ended).await?;
                    return Ok(Outcome::Over);
                }
            }
            Ok(Admitted::Exists(_)) => {
                self.settle(number, ClaimOutcome::Failed).await?;
                return Ok(Outcome::TokenUsed);
            }
            Ok(Admitted::Stale) => {
                self.copy.recover(generation).await?;
                return Ok(Outcome::Again);
            }
            Err(error) => {
                if error.is_retryable() {
                    self.settle(number, ClaimOutcome::Failed).await?;
                    self.pace.notify_one();
                }
                return Err(error);
            }
        }
        if let Err(error) = self.settle(number, ClaimOutcome::Committed).await {
            // `Books` have it: a copy that does not know of it loads it from there.
            tracing::warn!(%error, queue.id = %self.copy.id(), "the store does not know of an admission");
        }
        self.status.touch();
        self.pass(&grant).map(Outcome::Admitted)
    }

    fn pass(&self, grant: &Grant) -> Result<IssuedPass, Error> {
        let pass = AdmissionPass {
            slot: SlotRef { queue: self.copy.id().clone(), number: grant.number },
            account: grant.account.clone(),
            issued_at: grant.at,
            until: grant.until,
        };
        let issued = self.passes.issue(pass, self.copy.now())?;
        self.issued.increment(1);
        Ok(issued)
    }

    async fn settle(&self, number: u64, what: ClaimOutcome) -> Result<(), Error> {
        self.copy.call(|store, at| store.settle(at, number, what)).await.map(drop)
    }
}
