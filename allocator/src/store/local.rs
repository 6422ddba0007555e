//! The embedded seat store: the pure core in memory, and a journal that outlives the process.
//!
//! Journal entries are handed over while the event's mutex is held, so the journal has them in the
//! order in which they happened; an answer is given only once they are durable. When the journal
//! fails, memory and journal may disagree, so the event's copy is dropped and recovered.
use super::{
    Applied, CopyRef, Find, LoadOutcome, Lock, Locked, Paid, Pay, SeatCopies, SeatHolds,
    SeatSnapshot, SeatUpkeep, SeatsCopy, Swept, Truth,
};
use crate::event_seats::EventSeats;
use crate::record::{HoldRecord, HoldState};
use crate::{ReleaseAnswer, metrics};
use async_trait::async_trait;
use ledger::{
    AccountId, BookingId, BookingOutcome, Event, EventId, Fenced, HoldId, JournalEntry,
    JournalReceipt, SeatJournal, StoreError, lock, read_lock, write_lock,
};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use tokio::sync::Semaphore;

/// Changes that may wait for the journal at once: well below what its writer takes, because a
/// refused entry costs a recovery.
const CHANGES_IN_FLIGHT_MAX: usize = 16_384;
/// The journal entry that everything before is settled with: it names no hold.
const BARRIER: &str = "barrier";

/// Seats in memory, holds in a journal.
pub struct LocalSeatStore {
    journal: Arc<dyn SeatJournal>,
    events: RwLock<HashMap<EventId, Arc<Copied>>>,
    in_flight: Semaphore,
}

/// One event's copy; `None` while it is lost.
type Copied = Mutex<Option<EventSeats>>;

impl LocalSeatStore {
    pub fn new(journal: Arc<dyn SeatJournal>) -> Self {
        let in_flight = Semaphore::new(CHANGES_IN_FLIGHT_MAX);
        Self { journal, events: RwLock::default(), in_flight }
    }

    /// Changes the copy, and answers once the change is durable.
    async fn change<T>(
        &self,
        at: &CopyRef,
        how: impl FnOnce(&mut EventSeats) -> T,
    ) -> Result<Fenced<T>, StoreError> {
        let _in_flight = self.in_flight.acquire().await;
        match self.step(at, how) {
            Fenced::Lost => Ok(Fenced::Lost),
            Fenced::Is((answer, None)) => Ok(Fenced::Is(answer)),
            Fenced::Is((answer, Some(written))) => match written.await {
                Ok(()) => Ok(Fenced::Is(answer)),
                Err(error) => {
                    self.lose(&at.event.id, at.generation);
                    Err(error)
                }
            },
        }
    }

    /// One step under the mutex: what happened, and the receipt for its journal entries.
    fn step<T>(
        &self,
        at: &CopyRef,
        how: impl FnOnce(&mut EventSeats) -> T,
    ) -> Fenced<(T, Option<JournalReceipt>)> {
        let Some(copy) = self.copy(&at.event.id) else { return Fenced::Lost };
        let mut copy = open(&copy);
        let Some(seats) = copy.as_mut().filter(|seats| seats.generation() == at.generation) else {
            return Fenced::Lost;
        };
        let answer = how(seats);
        let effects = seats.effects();
        metrics::expired(&effects.lateness_ms);
        if effects.changed.is_empty() {
            return Fenced::Is((answer, None));
        }
        let entries = entries(&at.event.id, seats, effects.changed);
        Fenced::Is((answer, Some(self.journal.append(entries))))
    }

    /// Reads the copy, without waiting for the rows of what expired on the way.
    fn read<T>(&self, at: &CopyRef, how: impl FnOnce(&mut EventSeats) -> T) -> Fenced<T> {
        match self.step(at, how) {
            Fenced::Is((answer, _)) => Fenced::Is(answer),
            Fenced::Lost => Fenced::Lost,
        }
    }

    fn copy(&self, event: &EventId) -> Option<Arc<Copied>> {
        read_lock(&self.events).get(event).cloned()
    }

    fn copy_or_empty(&self, event: &EventId) -> Arc<Copied> {
        let mut events = write_lock(&self.events);
        events.entry(event.clone()).or_default().clone()
    }

    /// Drops the copy of this generation.
    fn lose(&self, event: &EventId, generation: u64) {
        if let Some(copy) = self.copy(event) {
            let mut copy = open(&copy);
            if copy.as_ref().is_some_and(|seats| seats.generation() == generation) {
                tracing::warn!(event.id = %event, "the seat journal failed, the copy is dropped");
                *copy = None;
            }
        }
    }
}

/// A panic in the middle of a change leaves the copy in doubt: it counts as lost.
fn open(copy: &Copied) -> MutexGuard<'_, Option<EventSeats>> {
    let mut guard = lock(copy);
    if copy.is_poisoned() {
        copy.clear_poison();
        *guard = None;
    }
    guard
}

fn entries(event: &EventId, seats: &EventSeats, mut changed: Vec<HoldId>) -> Vec<JournalEntry> {
    changed.dedup();
    let entry = |hold: HoldId| {
        let row = seats.record(&hold).filter(|record| is_journalled(record));
        JournalEntry { event: event.clone(), row: row.map(HoldRecord::to_row), hold }
    };
    changed.into_iter().map(entry).collect()
}

/// A hold that is over is written only if somebody may come back to it with a key or a booking.
fn is_journalled(record: &HoldRecord) -> bool {
    match record.state {
        HoldState::Held | HoldState::Paying(_) => true,
        HoldState::Over { .. } => record.is_remembered(),
    }
}

#[async_trait]
impl SeatHolds for LocalSeatStore {
    async fn lock(&self, at: &CopyRef, request: &Lock) -> Result<Fenced<Locked>, StoreError> {
        self.change(at, |seats| seats.lock(at, request)).await
    }

    async fn release(
        &self,
        at: &CopyRef,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<Fenced<ReleaseAnswer>, StoreError> {
        self.change(at, |seats| seats.release(at, hold, account)).await
    }

    async fn pay(&self, at: &CopyRef, request: &Pay) -> Result<Fenced<Paid>, StoreError> {
        self.change(at, |seats| seats.pay(at, request)).await
    }

    async fn unpay(&self, at: &CopyRef, booking: &BookingId) -> Result<Fenced<bool>, StoreError> {
        self.change(at, |seats| seats.unpay(at, booking)).await
    }

    async fn find(
        &self,
        at: &CopyRef,
        which: &Find,
    ) -> Result<Fenced<Vec<HoldRecord>>, StoreError> {
        // Rows of holds that expired on the way need not be durable for the answer to be true.
        Ok(self.read(at, |seats| seats.find(at, which)))
    }
}

#[async_trait]
impl SeatUpkeep for LocalSeatStore {
    async fn apply(
        &self,
        at: &CopyRef,
        outcome: &BookingOutcome,
    ) -> Result<Fenced<Applied>, StoreError> {
        self.change(at, |seats| seats.apply(at, outcome)).await
    }

    async fn reload(
        &self,
        at: &CopyRef,
        places: &[(u32, Truth)],
    ) -> Result<Fenced<()>, StoreError> {
        self.change(at, |seats| seats.reload(at, places)).await
    }

    async fn sweep(&self, at: &CopyRef, max: usize) -> Result<Fenced<Swept>, StoreError> {
        self.change(at, |seats| seats.sweep_all(at, max)).await
    }

    async fn has_holds(&self, event: &Event) -> Result<bool, StoreError> {
        let rows = self.journal.read(&event.id).await?;
        let mut records = rows.iter().map(|row| HoldRecord::from_row(row));
        records.try_fold(false, |live, record| Ok(live || record?.is_live()))
    }

    async fn snapshot(&self, at: &CopyRef) -> Result<Fenced<SeatSnapshot>, StoreError> {
        Ok(self.read(at, |seats| {
            seats.begin(at);
            seats.snapshot()
        }))
    }
}

#[async_trait]
impl SeatCopies for LocalSeatStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn surviving_holds(
        &self,
        event: &Event,
        generation: u64,
    ) -> Result<Vec<HoldRecord>, StoreError> {
        if let Some(copy) = self.copy(&event.id) {
            open(&copy).take_if(|seats| seats.generation() < generation);
        }
        let hold = HoldId::parse(BARRIER).expect("a valid id");
        let barrier = JournalEntry { event: event.id.clone(), hold, row: None };
        self.journal.append(vec![barrier]).await?;
        let rows = self.journal.read(&event.id).await?;
        rows.iter().map(|row| HoldRecord::from_row(row)).collect()
    }

    async fn load(&self, at: &CopyRef, copy: SeatsCopy) -> Result<LoadOutcome, StoreError> {
        let mut seats = EventSeats::of_copy(at, copy);
        let mut changed = seats.effects().changed;
        let written: HashSet<HoldId> = changed.iter().cloned().collect();
        for row in self.journal.read(&at.event.id).await? {
            let id = HoldRecord::from_row(&row)?.id;
            if !written.contains(&id) {
                changed.push(id);
            }
        }
        self.journal.append(entries(&at.event.id, &seats, changed)).await?;
        let place = self.copy_or_empty(&at.event.id);
        let mut place = open(&place);
        if place.as_ref().is_some_and(|seats| seats.generation() >= at.generation) {
            return Ok(LoadOutcome::NotNewer);
        }
        *place = Some(seats);
        Ok(LoadOutcome::Swapped)
    }
}

#[cfg(test)]
mod tests;
