//! Slots: who is in the shop, until when, and who was.
use super::bounds::REMEMBERED_MILLIS;
use crate::store::{ENDS_SHOWN, end_shown};
use ledger::{AccountId, Admission, AdmissionSource, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A number that was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) account: AccountId,
    pub(super) at: Timestamp,
    pub(super) until: Timestamp,
    pub(super) source: AdmissionSource,
    pub(super) committed: bool,
    /// Claims that are being committed right now; the last to fail gives the slot back.
    pub(super) committing: u32,
    live: bool,
}

/// Every admitted number, the live ones by account and by end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Slots {
    admitted: BTreeMap<u64, Slot>,
    live: HashMap<AccountId, u64>,
    ends: BTreeSet<(Timestamp, u64)>,
    /// Slots that are over, by when they may be forgotten.
    over: BTreeSet<(Timestamp, u64)>,
}

impl Slots {
    pub(super) fn active(&self) -> u64 {
        self.ends.len() as u64
    }

    pub(super) fn get(&self, number: u64) -> Option<&Slot> {
        self.admitted.get(&number)
    }

    /// True while the slot of `number` runs; the caller has advanced the line to now.
    pub(super) fn is_live(&self, number: u64) -> bool {
        self.admitted.get(&number).is_some_and(|slot| slot.live)
    }

    pub(super) fn of_account(&self, account: &AccountId) -> Option<u64> {
        self.live.get(account).copied()
    }

    pub(super) fn first_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|end| end.0)
    }

    /// Evenly many ends from the first to the last.
    pub(super) fn ends_shown(&self) -> [Timestamp; ENDS_SHOWN] {
        let mut shown = [Timestamp::default(); ENDS_SHOWN];
        let mut ends = self.ends.iter().map(|end| end.0).enumerate().peekable();
        let mut last = Timestamp::default();
        for (nth, shown) in shown.iter_mut().enumerate() {
            let rank = usize::try_from(end_shown(nth, self.active())).unwrap_or(usize::MAX);
            while let Some((_, end)) = ends.next_if(|(at, _)| *at <= rank) {
                last = end;
            }
            *shown = last;
        }
        shown
    }

    /// The next end, if it has come.
    pub(super) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.ends.first().map(|end| end.0).filter(|end| *end <= now)
    }

    pub(super) fn give(
        &mut self,
        number: u64,
        account: &AccountId,
        times: (Timestamp, Timestamp),
        source: AdmissionSource,
    ) {
        let (at, until) = times;
        let account = account.clone();
        let slot = Slot { account, at, until, source, committed: false, committing: 0, live: true };
        self.insert(number, slot);
    }

    /// One more claim commits this slot.
    pub(super) fn begin_commit(&mut self, number: u64) {
        if let Some(slot) = self.admitted.get_mut(&number) {
            slot.committing = slot.committing.saturating_add(1);
        }
    }

    pub(super) fn committed(&mut self, number: u64) {
        if let Some(slot) = self.admitted.get_mut(&number) {
            slot.committed = true;
            slot.committing = slot.committing.saturating_sub(1);
        }
    }

    /// A commit failed. True when the slot was given back: nobody else commits it.
    pub(super) fn failed(&mut self, number: u64) -> bool {
        let Some(slot) = self.admitted.get_mut(&number) else { return false };
        slot.committing = slot.committing.saturating_sub(1);
        if slot.committed || slot.committing > 0 || !slot.live {
            return false;
        }
        let forgotten = (slot.until.plus_millis(REMEMBERED_MILLIS), number);
        self.end(number);
        self.over.remove(&forgotten);
        self.admitted.remove(&number);
        true
    }

    /// Loads what `Books` know.
    pub(super) fn load(&mut self, row: &Admission, now: Timestamp) {
        let slot = Slot {
            account: row.account.clone(),
            at: row.at,
            until: row.until,
            source: row.source,
            committed: true,
            committing: 0,
            live: row.is_live(now),
        };
        self.insert(row.slot.number, slot);
    }

    fn insert(&mut self, number: u64, slot: Slot) {
        if slot.live {
            self.ends.insert((slot.until, number));
            self.live.insert(slot.account.clone(), number);
        } else {
            self.over.insert((slot.until.plus_millis(REMEMBERED_MILLIS), number));
        }
        self.admitted.insert(number, slot);
    }

    /// Ends a slot and frees its room.
    pub(super) fn end(&mut self, number: u64) {
        let Some(slot) = self.admitted.get_mut(&number).filter(|slot| slot.live) else { return };
        slot.live = false;
        self.ends.remove(&(slot.until, number));
        if self.live.get(&slot.account) == Some(&number) {
            self.live.remove(&slot.account);
        }
        self.over.insert((slot.until.plus_millis(REMEMBERED_MILLIS), number));
    }

    /// Ends what is due and forgets what is long over.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        while let Some((until, number)) = self.ends.first().copied()
            && until <= now
        {
            self.end(number);
        }
        while let Some(over) = self.over.first().copied()
            && over.0 <= now
        {
            self.over.remove(&over);
            self.admitted.remove(&over.1);
        }
    }

    /// Every number that is remembered, with its slot and whether it is live.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &Slot, bool)> {
        self.admitted.iter().map(|(number, slot)| (*number, slot, slot.live))
    }

    /// The admitted numbers in `after + 1..=upto`.
    pub(super) fn admitted_in(&self, after: u64, upto: u64) -> impl Iterator<Item = u64> + '_ {
        let above = self.admitted.range(after + 1..).map(|(number, _)| *number);
        above.take_while(move |number| *number <= upto)
    }
}
