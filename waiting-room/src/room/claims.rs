//! Claims: a slot from the store, its admission in `Books`, then the pass. And slots given back.
use super::desk::Desk;
use super::{ClaimAnswer, Inner, WalkIn};
use crate::metrics::{Answered, SLOTS_ENDED_TOTAL, claimed, walked_in};
use crate::store::{Ask, Grant, NotYet, Place, Settlement, Taken};
use crate::{AdmissionPass, Error, IssuedPass, QueueToken};
use ledger::books::Admitted;
use ledger::{AccountId, Admission, QueueId, SlotRef, StoreError};
use metrics::counter;
use std::sync::Arc;

/// How often a claim is tried whose copy was lost under it, or that ran out of numbers.
const TRIES: usize = 3;

/// What became of a grant.
enum Outcome {
    Admitted(IssuedPass),
    TokenUsed,
    Over,
    /// The copy was lost meanwhile: ask the new one.
    Again,
}

impl Inner {
    pub(super) async fn claim(
        self: &Arc<Self>,
        token: &QueueToken,
        account: &AccountId,
    ) -> Result<ClaimAnswer, Error> {
        if token.account.as_ref().is_some_and(|owner| owner != account) {
            claimed(Answered::TokenUsed);
            return Ok(ClaimAnswer::TokenUsed);
        }
        let desk = self.known_desk(&token.queue).await?;
        let Some(number) = token.number else {
            return Ok(ClaimAnswer::NotYet(self.standing(&desk, token).await?));
        };
        let fresh = !self.is_sold_out(&desk.id);
        let ask = Ask { account: account.clone(), number: Some(number), fresh };
        for _ in 0..TRIES {
            let (generation, taken) =
                self.ask(&desk, |mark| self.store.take(mark, ask.clone())).await?;
            match taken {
                Taken::Granted(grant) => match self.commit(&desk, generation, grant).await? {
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
                Taken::NotYet(why) => {
                    claimed(Answered::NotYet(why));
                    return Ok(ClaimAnswer::NotYet(self.standing(&desk, token).await?));
                }
                Taken::TokenUsed => {
                    claimed(Answered::TokenUsed);
                    return Ok(ClaimAnswer::TokenUsed);
                }
                Taken::Over => {
                    claimed(Answered::Over);
                    return Ok(ClaimAnswer::Missed);
                }
                Taken::Closed => {
                    claimed(Answered::Closed);
                    return Ok(ClaimAnswer::Closed);
                }
                // Only a walk-in takes numbers.
                Taken::NoNumbers => return Err(Error::Recovering),
            }
        }
        Err(Error::Recovering)
    }

    pub(super) async fn walk_in(
        self: &Arc<Self>,
        queue: &QueueId,
        account: &AccountId,
    ) -> Result<WalkIn, Error> {
        let desk = self.known_desk(queue).await?;
        let fresh = !self.is_slow(&desk.id);
        let ask = Ask { account: account.clone(), number: None, fresh };
        for _ in 0..TRIES {
            let (generation, taken) =
                self.ask(&desk, |mark| self.store.take(mark, ask.clone())).await?;
            match taken {
                Taken::Granted(grant) => {
                    match self.commit(&desk, generation, grant).await? {
                        Outcome::Admitted(pass) => {
                            walked_in(Answered::Admitted);
                            return Ok(WalkIn::Admitted(pass));
                        }
                        // The number just given cannot be another's: the copy was behind.
                        Outcome::TokenUsed | Outcome::Over | Outcome::Again => {}
                    }
                }
                Taken::NotYet(why) => {
                    walked_in(Answered::NotYet(why));
                    return Ok(WalkIn::QueueRequired);
                }
                Taken::Closed => {
                    walked_in(Answered::Closed);
                    return Ok(WalkIn::Closed);
                }
                Taken::NoNumbers => self.top_up(&desk, 1).await?,
                // Both are answers to a number, which a walk-in has not.
                Taken::TokenUsed | Taken::Over => {
                    walked_in(Answered::NotYet(NotYet::Waiting));
                    return Ok(WalkIn::QueueRequired);
                }
            }
        }
        Err(Error::Recovering)
    }

    /// Commits what the store granted: step and admission together, then tells the store.
    async fn commit(
        self: &Arc<Self>,
        desk: &Arc<Desk>,
        generation: u64,
        grant: Grant,
    ) -> Result<Outcome, Error> {
        if grant.committed {
            return self.pass(desk, &grant).map(Outcome::Admitted);
        }
        let row = Admission {
            slot: SlotRef { queue: desk.id.clone(), number: grant.number },
            account: grant.account.clone(),
            at: grant.at,
            until: grant.until,
            ended_at: None,
            source: grant.source,
        };
        let admitting = self.admit(desk, generation, row);
        let (stepped, admitted) = match grant.step {
            None => (Ok(()), admitting.await),
            Some(step) => tokio::join!(self.commit_step(desk, generation, step), admitting),
        };
        if let Err(error) = stepped {
            // The admission counts all the same; the pacer proposes the step again.
            tracing::warn!(%error, queue.id = %desk.id, "a step cannot be committed");
        }
        self.conclude(desk, generation, grant, admitted).await
    }

    async fn conclude(
        &self,
        desk: &Desk,
        generation: u64,
        grant: Grant,
        admitted: Result<Admitted, Error>,
    ) -> Result<Outcome, Error> {
        let number = grant.number;
        match admitted {
            Ok(Admitted::Done) => {}
            Ok(Admitted::Exists(row)) if row.account == grant.account => {
                if !row.is_live(self.clock.now()) {
                    self.settle(desk, number, Settlement::Committed).await?;
                    self.settle(desk, number, Settlement::Ended).await?;
                    return Ok(Outcome::Over);
                }
            }
            Ok(Admitted::Exists(_)) => {
                self.settle(desk, number, Settlement::Failed).await?;
                return Ok(Outcome::TokenUsed);
            }
            Ok(Admitted::Stale) => {
                self.recover(desk, generation).await?;
                return Ok(Outcome::Again);
            }
            Err(error) => {
                if error.is_retryable() {
                    self.settle(desk, number, Settlement::Failed).await?;
                    self.pace.notify_one();
                }
                return Err(error);
            }
        }
        if let Err(error) = self.settle(desk, number, Settlement::Committed).await {
            // `Books` have it: a copy that cannot be told loads it from there.
            tracing::warn!(%error, queue.id = %desk.id, "the store was not told of an admission");
        }
        desk.touched.notify_one();
        self.pass(desk, &grant).map(Outcome::Admitted)
    }

    fn pass(&self, desk: &Desk, grant: &Grant) -> Result<IssuedPass, Error> {
        let pass = AdmissionPass {
            slot: SlotRef { queue: desk.id.clone(), number: grant.number },
            account: grant.account.clone(),
            issued_at: grant.at,
            until: grant.until,
        };
        let issued = self.passes.issue(pass, self.clock.now())?;
        self.counters.passes.increment(1);
        Ok(issued)
    }

    async fn settle(&self, desk: &Desk, number: u64, what: Settlement) -> Result<(), Error> {
        self.ask(desk, |mark| self.store.settle(mark, number, what)).await.map(drop)
    }

    /// Whether the slot of a genuine pass still runs.
    pub(super) async fn is_live(self: &Arc<Self>, pass: &AdmissionPass) -> Result<bool, Error> {
        let desk = self.known_desk(&pass.slot.queue).await?;
        let place = self.place(&desk, pass.slot.number).await?;
        Ok(match place {
            Place::Admitted { account, at, .. } => {
                account == pass.account && at.seconds() == pass.issued_at.seconds()
            }
            Place::Waiting
            | Place::Ready { .. }
            | Place::Returning { .. }
            | Place::Missed
            | Place::Done => false,
        })
    }

    async fn place(&self, desk: &Desk, number: u64) -> Result<Place, Error> {
        let (_, looked) = self.ask(desk, |mark| self.store.look(mark, Some(number))).await?;
        Ok(looked.1.unwrap_or(Place::Waiting))
    }

    /// Ends the slot, first in `Books`, then in the store. A place that was never admitted is
    /// given up too if `places`.
    pub(super) async fn leave(self: &Arc<Self>, slot: &SlotRef, places: bool) -> Result<(), Error> {
        // A queue that is not there has nothing to end.
        let Some(desk) = self.desk(&slot.queue).await? else { return Ok(()) };
        match self.place(&desk, slot.number).await? {
            Place::Admitted { committed, account, .. } => {
                if !committed {
                    self.tell_committed(&desk, slot, &account).await?;
                }
                self.end_in_books(slot).await?;
                self.settle(&desk, slot.number, Settlement::Ended).await?;
                counter!(SLOTS_ENDED_TOTAL).increment(1);
            }
            Place::Waiting | Place::Ready { .. } | Place::Returning { .. } if places => {
                self.settle(&desk, slot.number, Settlement::Left).await?;
            }
            Place::Waiting
            | Place::Ready { .. }
            | Place::Returning { .. }
            | Place::Missed
            | Place::Done => return Ok(()),
        }
        self.pace.notify_one();
        desk.touched.notify_one();
        Ok(())
    }

    /// The store may not have been told of an admission that `Books` have.
    async fn tell_committed(
        &self,
        desk: &Desk,
        slot: &SlotRef,
        account: &AccountId,
    ) -> Result<(), Error> {
        let row = self.admissions.admission(slot).await?;
        if row.is_none_or(|row| row.account != *account) {
            let detail = "its admission is being committed";
            return Err(StoreError::unavailable("ending a slot", detail).into());
        }
        self.settle(desk, slot.number, Settlement::Committed).await
    }

    /// Ending twice is harmless, so an outcome that nobody knows is asked for again.
    async fn end_in_books(&self, slot: &SlotRef) -> Result<(), Error> {
        match self.admissions.end(slot, self.clock.now()).await {
            Err(error) if error.is_unknown() => {
                self.admissions.end(slot, self.clock.now()).await?;
            }
            answer => {
                answer?;
            }
        }
        Ok(())
    }
}
