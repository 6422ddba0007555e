//! Sessions: whether the slot of a pass still runs, and how slots and places are given back.
use super::parts::Background;
use super::queue_copy::QueueCopy;
use super::status_keeper::StatusKeeper;
use crate::metrics::SLOTS_ENDED_TOTAL;
use crate::store::{ClaimOutcome, PlaceStatus};
use crate::{AdmissionPass, Error, Parts};
use ledger::books::Admissions;
use ledger::{AccountId, SlotRef, StoreError};
use metrics::counter;
use std::sync::Arc;
use tokio::sync::Notify;

/// The sessions of one queue.
pub(super) struct Sessions {
    copy: Arc<QueueCopy>,
    status: Arc<StatusKeeper>,
    admissions: Arc<dyn Admissions>,
    pace: Arc<Notify>,
}

/// Who gives a slot back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaver {
    /// Its holder: a place that was never admitted is given up too.
    Holder,
    /// A confirmed booking, which ends only the session that it was made in.
    Booking,
}

impl Sessions {
    pub(super) fn new(
        parts: &Parts,
        background: &Background,
        copy: Arc<QueueCopy>,
        status: Arc<StatusKeeper>,
    ) -> Self {
        let (admissions, pace) = (parts.admissions.clone(), background.pace.clone());
        Self { copy, status, admissions, pace }
    }

    /// Whether the slot of a genuine pass still runs.
    pub(super) async fn is_live(&self, pass: &AdmissionPass) -> Result<bool, Error> {
        Ok(match self.copy.place(pass.slot.number).await? {
            PlaceStatus::Admitted { account, at, .. } => {
                account == pass.account && at.seconds() == pass.issued_at.seconds()
            }
            PlaceStatus::Waiting
            | PlaceStatus::Ready { .. }
            | PlaceStatus::Returning { .. }
            | PlaceStatus::Missed
            | PlaceStatus::Done => false,
        })
    }

    /// Ends the slot, first in `Books`, then in the store.
    pub(super) async fn leave(&self, slot: &SlotRef, who: Leaver) -> Result<(), Error> {
        match self.copy.place(slot.number).await? {
            PlaceStatus::Admitted { committed, account, .. } => {
                if !committed {
                    self.settle_committed(slot, &account).await?;
                }
                self.end_in_books(slot).await?;
                self.settle(slot.number, ClaimOutcome::Ended).await?;
                counter!(SLOTS_ENDED_TOTAL).increment(1);
            }
            PlaceStatus::Waiting | PlaceStatus::Ready { .. } | PlaceStatus::Returning { .. }
                if who == Leaver::Holder =>
            {
                self.settle(slot.number, ClaimOutcome::Left).await?;
                self.status.note_left();
            }
            PlaceStatus::Waiting
            | PlaceStatus::Ready { .. }
            | PlaceStatus::Returning { .. }
            | PlaceStatus::Missed
            | PlaceStatus::Done => return Ok(()),
        }
        self.pace.notify_one();
        self.status.touch();
        Ok(())
    }

    /// The store may not know of an admission that `Books` have.
    async fn settle_committed(&self, slot: &SlotRef, account: &AccountId) -> Result<(), Error> {
        let row = self.admissions.admission(slot).await?;
        if row.is_none_or(|row| row.account != *account) {
            let detail = "its admission is being committed";
            return Err(StoreError::unavailable("ending a slot", detail).into());
        }
        self.settle(slot.number, ClaimOutcome::Committed).await
    }

    /// Ending twice is harmless, so an outcome that nobody knows is asked for again.
    async fn end_in_books(&self, slot: &SlotRef) -> Result<(), Error> {
        match self.admissions.end(slot, self.copy.now()).await {
            Err(error) if error.is_unknown() => {
                self.admissions.end(slot, self.copy.now()).await?;
            }
            answer => {
                answer?;
            }
        }
        Ok(())
    }

    async fn settle(&self, number: u64, what: ClaimOutcome) -> Result<(), Error> {
        self.copy.call(|store, at| store.settle(at, number, what)).await.map(drop)
    }
}
