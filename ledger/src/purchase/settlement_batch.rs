//! The purchases of a batch, the steps they take one after the other, and what is to be written.
use super::Entry;
use super::{ClaimEffect, Purchase, Step, cancel, refunded, settle};
use crate::booking::{BookingOutcome, CancelBooking};
use crate::books::{Refunded, Settlement};
use crate::clock::Timestamp;
use crate::ids::BookingId;
use crate::transfer::{Transfer, Unbalanced};
use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, HashSet};

/// Moves purchases that were read under a lock.
pub struct SettlementBatch {
    /// As the batch has brought them so far, and when the gateway was to be asked before it.
    purchases: HashMap<BookingId, (Purchase, Option<Timestamp>)>,
    steps: Vec<Step>,
}

impl SettlementBatch {
    pub fn open(found: Vec<(Purchase, Option<Timestamp>)>) -> Self {
        let keyed = found.into_iter().map(|entry| (entry.0.command.booking_id.clone(), entry));
        Self { purchases: keyed.collect(), steps: Vec::new() }
    }

    pub fn settle(&mut self, batch: &[Settlement], now: Timestamp) -> Result<(), Unbalanced> {
        for Settlement { booking_id, result } in batch {
            self.try_step(booking_id, |purchase| settle(purchase, result, now))?;
        }
        Ok(())
    }

    /// `used` are bookings with a ticket that was used. Returns what to publish, new or not.
    pub fn cancel(
        &mut self,
        batch: &[CancelBooking],
        used: &HashSet<String>,
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, Unbalanced> {
        for CancelBooking { booking_id, .. } in batch {
            let used = used.contains(booking_id.as_str());
            self.try_step(booking_id, |purchase| Ok(cancel(purchase, used, now)))?;
        }
        let decided = batch.iter().filter_map(|cancel| self.purchases.get(&cancel.booking_id));
        let decided = decided.map(|(purchase, _)| purchase).filter(|p| p.version > 1);
        Ok(decided.map(Purchase::outcome).collect())
    }

    pub fn refunded(&mut self, batch: &[Refunded], now: Timestamp) -> Result<(), Unbalanced> {
        for Refunded { booking_id, refund_id } in batch {
            self.try_step(booking_id, |purchase| refunded(purchase, refund_id, now))?;
        }
        Ok(())
    }

    /// Moves a purchase that is there, from where the batch has brought it so far.
    fn try_step(
        &mut self,
        id: &BookingId,
        step: impl FnOnce(Purchase) -> Result<Option<Step>, Unbalanced>,
    ) -> Result<(), Unbalanced> {
        let MapEntry::Occupied(mut place) = self.purchases.entry(id.clone()) else { return Ok(()) };
        if let Some(step) = step(place.get().0.clone())? {
            place.get_mut().0 = step.purchase.clone();
            self.steps.push(step);
        }
        Ok(())
    }

    /// True when nothing has to be written.
    pub fn is_unchanged(&self) -> bool {
        self.steps.is_empty()
    }

    /// The purchases that moved, each once, as they are after all their steps.
    pub fn changed(&self, now: Timestamp) -> Vec<Entry<'_>> {
        let mut seen = HashSet::new();
        let moved = self.steps.iter().map(id_of).filter(|id| seen.insert(*id));
        let moved = moved.filter_map(|id| self.purchases.get(id));
        moved.map(|(purchase, before)| (purchase, next_try(purchase, *before, now))).collect()
    }

    /// The purchases whose claims become sales.
    pub fn sold(&self) -> Vec<&Purchase> {
        self.with(ClaimEffect::Sell).map(|step| &step.purchase).collect()
    }

    /// The purchases whose claims end.
    pub fn released(&self) -> Vec<&Purchase> {
        self.with(ClaimEffect::Release).map(|step| &step.purchase).collect()
    }

    pub fn transfers(&self) -> Vec<&Transfer> {
        self.steps.iter().filter_map(|step| step.transfer.as_ref()).collect()
    }

    /// The outcomes that outsiders must hear of, the last of each booking.
    pub fn new_outcomes(&self) -> Vec<BookingOutcome> {
        let mut seen = HashSet::new();
        let loud = self.steps.iter().filter(|step| step.publish).map(id_of);
        let loud = loud.filter(|id| seen.insert(*id));
        loud.filter_map(|id| self.purchases.get(id)).map(|(p, _)| p.outcome()).collect()
    }

    fn with(&self, effect: ClaimEffect) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.claims == effect)
    }
}

fn id_of(step: &Step) -> &BookingId {
    &step.purchase.command.booking_id
}

/// When the gateway is to be asked next about a purchase that just took a step; `before` is when
/// it was to be asked until now.
fn next_try(purchase: &Purchase, before: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    if purchase.awaits_gateway() {
        before.or(Some(now))
    } else if purchase.pending_refund().is_some() {
        Some(now)
    } else {
        None
    }
}
