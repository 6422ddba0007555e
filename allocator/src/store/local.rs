//! The embedded seat store: the pure core in memory, and a journal that outlives the process.
//!
//! Journal entries are handed over while the event's mutex is held, so the journal has them in the
//! order in which they happened; an answer is given only once they are durable. When the journal
//! fails, memory and journal may disagree, so the event's copy is dropped and recovered.
use super::{
    Applied, At, Find, Loaded, Lock, Locked, Marked, Paid, Pay, SeatStore, SeatsCopy, Snapshot,
    Swept, Truth,
};
use crate::event_seats::EventSeats;
use crate::record::{HoldRecord, HoldState};
use crate::{ReleaseAnswer, metrics};
use async_trait::async_trait;
use ledger::{
    AccountId, BookingId, BookingOutcome, Event, EventId, HoldId, JournalEntry, JournalReceipt,
    SeatJournal, StoreError,
};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
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
        at: &At,
        how: impl FnOnce(&mut EventSeats) -> T,
    ) -> Result<Marked<T>, StoreError> {
        let _in_flight = self.in_flight.acquire().await;
        match self.step(at, how) {
            Marked::Lost => Ok(Marked::Lost),
            Marked::Here((answer, None)) => Ok(Marked::Here(answer)),
            Marked::Here((answer, Some(written))) => match written.await {
                Ok(()) => Ok(Marked::Here(answer)),
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
        at: &At,
        how: impl FnOnce(&mut EventSeats) -> T,
    ) -> Marked<(T, Option<JournalReceipt>)> {
        let Some(copy) = self.copy(&at.event.id) else { return Marked::Lost };
        let mut copy = open(&copy);
        let Some(seats) = copy.as_mut().filter(|seats| seats.generation() == at.generation) else {
            return Marked::Lost;
        };
        let answer = how(seats);
        let effects = seats.effects();
        metrics::expired(&effects.lateness_ms);
        if effects.changed.is_empty() {
            return Marked::Here((answer, None));
        }
        let entries = entries(&at.event.id, seats, effects.changed);
        Marked::Here((answer, Some(self.journal.append(entries))))
    }

    fn copy(&self, event: &EventId) -> Option<Arc<Copied>> {
        self.events.read().unwrap_or_else(PoisonError::into_inner).get(event).cloned()
    }

    fn copy_or_empty(&self, event: &EventId) -> Arc<Copied> {
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        events.entry(event.clone()).or_default().clone()
    }

    /// Drops the copy that bears this mark.
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
    copy.lock().unwrap_or_else(|poisoned| {
        copy.clear_poison();
        let mut guard = poisoned.into_inner();
        *guard = None;
        guard
    })
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
impl SeatStore for LocalSeatStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn kept(&self, event: &Event, mark: u64) -> Result<Vec<HoldRecord>, StoreError> {
        if let Some(copy) = self.copy(&event.id) {
            open(&copy).take_if(|seats| seats.generation() < mark);
        }
        let hold = HoldId::parse(BARRIER).expect("a valid id");
        let barrier = JournalEntry { event: event.id.clone(), hold, row: None };
        self.journal.append(vec![barrier]).await?;
        let rows = self.journal.read(&event.id).await?;
        rows.iter().map(|row| HoldRecord::from_row(row)).collect()
    }

    async fn has_holds(&self, event: &Event) -> Result<bool, StoreError> {
        let rows = self.journal.read(&event.id).await?;
        let mut records = rows.iter().map(|row| HoldRecord::from_row(row));
        records.try_fold(false, |live, record| Ok(live || record?.is_live()))
    }

    async fn load(&self, at: &At, copy: SeatsCopy) -> Result<Loaded, StoreError> {
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
            return Ok(Loaded::Kept);
        }
        *place = Some(seats);
        Ok(Loaded::Swapped)
    }

    async fn lock(&self, at: &At, ask: &Lock) -> Result<Marked<Locked>, StoreError> {
        self.change(at, |seats| seats.lock(at, ask)).await
    }

    async fn release(
        &self,
        at: &At,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<Marked<ReleaseAnswer>, StoreError> {
        self.change(at, |seats| seats.release(at, hold, account)).await
    }

    async fn pay(&self, at: &At, ask: &Pay) -> Result<Marked<Paid>, StoreError> {
        self.change(at, |seats| seats.pay(at, ask)).await
    }

    async fn unpay(&self, at: &At, booking: &BookingId) -> Result<Marked<bool>, StoreError> {
        self.change(at, |seats| seats.unpay(at, booking)).await
    }

    async fn apply(
        &self,
        at: &At,
        outcome: &BookingOutcome,
    ) -> Result<Marked<Applied>, StoreError> {
        self.change(at, |seats| seats.apply(at, outcome)).await
    }

    async fn reload(&self, at: &At, places: &[(u32, Truth)]) -> Result<Marked<()>, StoreError> {
        self.change(at, |seats| seats.reload(at, places)).await
    }

    async fn sweep(&self, at: &At, max: usize) -> Result<Marked<Swept>, StoreError> {
        self.change(at, |seats| seats.sweep_all(at, max)).await
    }

    async fn find(&self, at: &At, which: &Find) -> Result<Marked<Vec<HoldRecord>>, StoreError> {
        // Rows of holds that expired on the way need not be durable for the answer to be true.
        Ok(self.step(at, |seats| seats.find(at, which)).answer())
    }

    async fn snapshot(&self, at: &At) -> Result<Marked<Snapshot>, StoreError> {
        let snapshot = self.step(at, |seats| {
            seats.begin(at);
            seats.snapshot()
        });
        Ok(snapshot.answer())
    }
}

impl<T> Marked<(T, Option<JournalReceipt>)> {
    fn answer(self) -> Marked<T> {
        match self {
            Self::Here((answer, _)) => Marked::Here(answer),
            Self::Lost => Marked::Lost,
        }
    }
}

#[cfg(test)]
mod tests;
