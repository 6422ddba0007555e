//! The pure core: one event's seats and holds, and the indexes that keep every call short.
//!
//! Every change goes one way: [`EventSeats::take`] a hold out with its places, change the record,
//! [`EventSeats::put`] it back. So places, counts, deadlines and records cannot disagree.
mod part;

pub use part::{CopyPart, Reads};

use crate::Keyed;
use crate::grid::{Counts, Grid, SeatState};
use crate::record::{HoldRecord, HoldState};
use crate::store::{CopyRef, Limits, SeatSnapshot};
use ledger::{AccountId, BookingId, EventId, HoldId, Layout, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How long a hold that expired, and that no key or booking names, is known to have been there.
pub const OVER_SECONDS: u32 = 3_600;
/// Changes per generation that version numbers have room for.
const CHANGES_PER_GENERATION: u64 = 1 << 32;

/// One event's copy of who holds what.
#[derive(Debug)]
pub struct EventSeats {
    pub(super) event: EventId,
    pub(super) layout: Arc<Layout>,
    pub(super) generation: u64,
    pub(super) grid: Grid,
    owners: HashMap<u32, Owner>,
    holds: HashMap<HoldId, HoldRecord>,
    accounts: HashMap<AccountId, AccountSeats>,
    keys: HashMap<(AccountId, String), HoldId>,
    /// The hold of which a key made or joined a booking; the hold's record says which one.
    book_keys: HashMap<(AccountId, String), HoldId>,
    /// When a hold expires, or is forgotten once it is over.
    ends: BTreeSet<(Timestamp, HoldId)>,
    /// When a hold that is being paid is overdue.
    deadlines: BTreeSet<(Timestamp, HoldId)>,
    /// Holds that are held or being paid.
    live: u64,
    changes: u64,
    /// Time never runs backwards here, whatever the callers' clocks do.
    now: Timestamp,
    effects: Effects,
}

/// What has to happen outside because of what happened here.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Holds whose rows are no longer what they were, in order, also more than once.
    pub(crate) changed: Vec<HoldId>,
    /// How late each expired hold was freed, in milliseconds.
    pub(crate) lateness_ms: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Hold(HoldId),
    Sold(BookingId, AccountId),
}

/// Grows with every change, over every generation.
pub fn version_of(generation: u64, changes: u64) -> u64 {
    generation.wrapping_mul(CHANGES_PER_GENERATION).wrapping_add(changes)
}

/// What a key of `book` stands for.
pub(super) struct Booked<'a> {
    pub(super) record: &'a HoldRecord,
    pub(super) key: &'a Keyed,
    pub(super) attempt: u32,
}

#[derive(Debug, Default)]
struct AccountSeats {
    /// Held, paying and sold.
    seats: u32,
    /// Live ones.
    holds: Vec<HoldId>,
}

impl EventSeats {
    /// Nothing held, nothing sold.
    pub fn new(event: &ledger::Event, generation: u64) -> Self {
        Self::on(event, generation, Grid::new(&event.layout))
    }

    fn on(event: &ledger::Event, generation: u64, grid: Grid) -> Self {
        Self {
            event: event.id.clone(),
            layout: event.layout.clone(),
            generation,
            grid,
            owners: HashMap::new(),
            holds: HashMap::new(),
            accounts: HashMap::new(),
            keys: HashMap::new(),
            book_keys: HashMap::new(),
            ends: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            live: 0,
            changes: 0,
            now: Timestamp::default(),
            effects: Effects::default(),
        }
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Begins an operation: everything that is due by now has happened before it.
    pub fn begin(&mut self, at: &CopyRef) -> Timestamp {
        self.now = self.now.max(at.now);
        self.sweep(at.limits, usize::MAX);
        self.now
    }

    /// Ends up to `max` holds that are due, exactly at their time; returns how many.
    pub fn sweep(&mut self, limits: Limits, max: usize) -> usize {
        let mut ended = 0;
        while ended < max
            && self.ends.first().is_some_and(|(at, _)| *at <= self.now)
            && let Some((at, id)) = self.ends.pop_first()
        {
            let Some(record) = self.take(&id) else { continue };
            ended += 1;
            match record.state {
                HoldState::Held => {
                    self.effects.lateness_ms.push(self.now.millis_since(at));
                    self.put_over(record, None, limits);
                }
                HoldState::Over { .. } => self.forget(&record),
                // Not among those that end by themselves; goes back unharmed.
                HoldState::Paying(_) => self.put(record),
            }
        }
        ended
    }

    /// As [`begin`](Self::begin), for the sweeper: bounded.
    pub(crate) fn begin_bounded(&mut self, at: &CopyRef, max: usize) -> usize {
        self.now = self.now.max(at.now);
        self.sweep(at.limits, max)
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What changed since the last call.
    pub(crate) fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    pub fn record(&self, id: &HoldId) -> Option<&HoldRecord> {
        self.holds.get(id)
    }

    /// The account's live holds.
    pub fn holds_of(&self, account: &AccountId) -> impl Iterator<Item = &HoldRecord> {
        let ids = self.accounts.get(account).map_or(&[][..], |account| &account.holds);
        ids.iter().filter_map(|id| self.holds.get(id))
    }

    /// Seats held, being paid or bought by the account.
    pub fn seats_of(&self, account: &AccountId) -> u32 {
        self.accounts.get(account).map_or(0, |account| account.seats)
    }

    pub fn counts(&self) -> Counts {
        self.grid.counts()
    }

    /// Holds that are held or being paid.
    pub fn live_holds(&self) -> u64 {
        self.live
    }

    /// Who has which place.
    pub fn owners(&self) -> impl Iterator<Item = (u32, &Owner)> {
        self.owners.iter().map(|(place, owner)| (*place, owner))
    }

    /// Every hold that is known, also those that are over.
    pub fn records(&self) -> impl Iterator<Item = &HoldRecord> {
        self.holds.values()
    }

    /// Every account with the number of its seats and its live holds.
    pub fn accounts(&self) -> impl Iterator<Item = (&AccountId, u32, &[HoldId])> {
        self.accounts.iter().map(|(id, account)| (id, account.seats, &account.holds[..]))
    }

    /// The letter of every place in layout order.
    pub fn letters(&self) -> &[u8] {
        self.grid.bytes()
    }

    pub fn snapshot(&self) -> SeatSnapshot {
        SeatSnapshot {
            version: version_of(self.generation, self.changes),
            places: self.grid.bytes().to_vec(),
            counts: self.grid.counts(),
        }
    }

    pub fn owner(&self, place: u32) -> Option<&Owner> {
        self.owners.get(&place)
    }

    pub(super) fn keyed(&self, account: &AccountId, key: &str) -> Option<&HoldRecord> {
        self.holds.get(self.keys.get(&(account.clone(), key.to_owned()))?)
    }

    /// The hold that a key was booked with, with the key's body and attempt.
    pub(super) fn booked(&self, account: &AccountId, key: &str) -> Option<Booked<'_>> {
        let id = self.book_keys.get(&(account.clone(), key.to_owned()))?;
        let record = self.holds.get(id)?;
        let (key, attempt) = record.book_keys.iter().find(|(kept, _)| kept.key == key)?;
        Some(Booked { record, key, attempt: *attempt })
    }

    /// True while the hold owns each of its places.
    pub(super) fn owns_all(&self, record: &HoldRecord) -> bool {
        let mine = Owner::Hold(record.id.clone());
        record.places.iter().all(|place| self.owners.get(place) == Some(&mine))
    }

    /// The first hold whose payment is overdue.
    pub(super) fn first_overdue(&self) -> Option<HoldId> {
        let (at, id) = self.deadlines.first()?;
        (*at <= self.now).then(|| id.clone())
    }

    /// Says that a record must be written again though nothing changed: its last row may not be
    /// durable yet, and the caller is about to rely on it.
    pub(super) fn touch(&mut self, id: &HoldId) {
        self.effects.changed.push(id.clone());
    }

    /// Takes a record out of every index; places it owns are free.
    pub(super) fn take(&mut self, id: &HoldId) -> Option<HoldRecord> {
        let record = self.holds.remove(id)?;
        self.ends.remove(&(record.ends_at(), id.clone()));
        if let Some(payment) = record.payment() {
            self.deadlines.remove(&(payment.resend_at, id.clone()));
        }
        for (key, _) in &record.book_keys {
            let key = (record.account.clone(), key.key.clone());
            if self.book_keys.get(&key) == Some(id) {
                self.book_keys.remove(&key);
            }
        }
        if record.is_live() {
            self.live -= 1;
            for place in &record.places {
                if matches!(self.owners.get(place), Some(Owner::Hold(owner)) if owner == id) {
                    self.vacate(*place, &record.account);
                }
            }
            if let Some(account) = self.accounts.get_mut(&record.account) {
                account.holds.retain(|other| other != id);
            }
            self.drop_if_empty(&record.account);
        }
        Some(record)
    }

    /// Puts a record back; places of a live one that nobody owns become its own.
    pub(super) fn put(&mut self, record: HoldRecord) {
        let id = record.id.clone();
        let state = match &record.state {
            HoldState::Held => Some(SeatState::Held),
            HoldState::Paying(payment) => {
                self.deadlines.insert((payment.resend_at, id.clone()));
                Some(SeatState::Paying)
            }
            HoldState::Over { .. } => None,
        };
        if let Some(state) = state {
            self.live += 1;
            for place in &record.places {
                if !self.owners.contains_key(place) {
                    let owner = Owner::Hold(id.clone());
                    self.occupy(*place, owner, state, &record.account);
                }
            }
            let account = self.accounts.entry(record.account.clone()).or_default();
            account.holds.push(id.clone());
        }
        if record.ends_by_itself() {
            self.ends.insert((record.ends_at(), id.clone()));
        }
        for key in &record.lock_keys {
            self.keys.insert((record.account.clone(), key.key.clone()), id.clone());
        }
        for (key, _) in &record.book_keys {
            let key = (record.account.clone(), key.key.clone());
            // What a key made first is what it stands for.
            self.book_keys.entry(key).or_insert_with(|| id.clone());
        }
        self.effects.changed.push(id.clone());
        self.holds.insert(id, record);
    }

    /// Puts a record back as over: its places are no longer its own.
    pub(super) fn put_over(
        &mut self,
        mut record: HoldRecord,
        bought: Option<BookingId>,
        limits: Limits,
    ) {
        record.state = HoldState::Over { bought, forget_at: self.forget_at(&record, limits) };
        self.put(record);
    }

    /// Forgets a hold that is in no index any more.
    pub(super) fn forget(&mut self, record: &HoldRecord) {
        for key in &record.lock_keys {
            self.keys.remove(&(record.account.clone(), key.key.clone()));
        }
        self.effects.changed.push(record.id.clone());
    }

    pub(super) fn forget_at(&self, record: &HoldRecord, limits: Limits) -> Timestamp {
        let kept = if record.is_remembered() { limits.key_seconds } else { OVER_SECONDS };
        self.now.plus_seconds(kept)
    }

    pub(super) fn sell(&mut self, place: u32, booking: &BookingId, account: &AccountId) {
        let owner = Owner::Sold(booking.clone(), account.clone());
        self.occupy(place, owner, SeatState::Sold, account);
    }

    /// A place loses whoever has it.
    pub(super) fn vacate(&mut self, place: u32, account: &AccountId) {
        self.owners.remove(&place);
        if self.grid.set(place, SeatState::Free) {
            self.changes += 1;
        }
        if let Some(account) = self.accounts.get_mut(account) {
            account.seats = account.seats.saturating_sub(1);
        }
        self.drop_if_empty(account);
    }

    fn occupy(&mut self, place: u32, owner: Owner, state: SeatState, account: &AccountId) {
        if !self.grid.set(place, state) {
            return;
        }
        self.changes += 1;
        self.owners.insert(place, owner);
        self.accounts.entry(account.clone()).or_default().seats += 1;
    }

    fn drop_if_empty(&mut self, account: &AccountId) {
        let empty = |account: &AccountSeats| account.seats == 0 && account.holds.is_empty();
        if self.accounts.get(account).is_some_and(empty) {
            self.accounts.remove(account);
        }
    }
}

impl HoldRecord {
    fn ends_at(&self) -> Timestamp {
        match self.state {
            HoldState::Held | HoldState::Paying(_) => self.until,
            HoldState::Over { forget_at, .. } => forget_at,
        }
    }

    /// A hold that is being paid does not expire. One with a key and a booking is never forgotten
    /// while this copy lives: its key would make the same ids again, for other places.
    pub fn ends_by_itself(&self) -> bool {
        match self.state {
            HoldState::Held => true,
            HoldState::Paying(_) => false,
            HoldState::Over { .. } => self.lock_keys.is_empty() || self.attempts == 0,
        }
    }
}
