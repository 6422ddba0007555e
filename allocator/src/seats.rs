//! The handle: everything that others ask of the allocator.
use crate::recovery::{EventSlot, SeatSource};
use crate::store::{At, Find, Limits, Lock, Locked, Marked, SeatStore};
use crate::{
    Config, Error, HoldRecord, Keyed, LockAnswer, LockRequest, ReleaseAnswer, SeatHold, Wish,
    metrics,
};
use ledger::books::{Events, Purchases};
use ledger::{
    AccountId, Booking, BookingId, BookingLog, Clock, Event, EventId, Fenced, HoldId, IdSource,
    StoreError,
};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What the allocator is made of.
#[derive(Clone)]
pub struct Parts {
    pub store: Arc<dyn SeatStore>,
    pub purchases: Arc<dyn Purchases>,
    pub events: Arc<dyn Events>,
    pub log: Arc<dyn BookingLog>,
    pub clock: Clock,
    pub ids: IdSource,
    pub config: Config,
}

/// The allocator; clones share it.
#[derive(Clone)]
pub struct SeatAllocator {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    /// Events that were asked about since the start: as many as the operator sells.
    slots: RwLock<HashMap<EventId, Arc<EventSlot>>>,
}

impl SeatAllocator {
    pub fn new(parts: Parts) -> Self {
        Self { shared: Arc::new(Shared { parts, slots: RwLock::default() }) }
    }

    /// An exclusive hold: all that was wished for, or nothing.
    pub async fn lock(&self, request: LockRequest) -> Result<LockAnswer, Error> {
        let answer = self.lock_unmeasured(request).await?;
        metrics::locked(&answer);
        Ok(answer)
    }

    async fn lock_unmeasured(&self, request: LockRequest) -> Result<LockAnswer, Error> {
        let LockRequest { event, account, slot, wish, key } = request;
        let quantity = match &wish {
            Wish::Places(places) => u32::try_from(places.len()).unwrap_or(u32::MAX),
            Wish::Best { quantity, .. } => *quantity,
        };
        if quantity > self.parts().config.seats_per_lock_max {
            return Ok(LockAnswer::OverCap);
        }
        let dearest = event.layout.price_range().map_or(0, |(_, dearest)| dearest.minor);
        dearest.checked_mul(i64::from(quantity)).ok_or(Error::Overflow)?;
        let minted = self.parts().ids.hold(&event.id, self.parts().clock.now());
        let ask = Lock { account, slot, wish, key, minted };
        let seats = self.slot(&event);
        let store = &self.parts().store;
        let ask = &ask;
        let locked = self.ask(&seats, |at| async move { store.lock(&at, ask).await }).await?;
        Ok(match locked {
            Locked::Held(record) => shown(&record, &event),
            Locked::Taken => LockAnswer::Taken,
            Locked::SoldOut => LockAnswer::SoldOut,
            Locked::OverCap => LockAnswer::OverCap,
            Locked::Mismatch => LockAnswer::Mismatch,
            Locked::Expired => LockAnswer::Expired,
        })
    }

    /// What a lock with this key was answered before, if there was one: a key is compared before
    /// anything else, also before anybody asks who may enter.
    pub async fn locked_before(
        &self,
        event: &Arc<Event>,
        account: &AccountId,
        key: &Keyed,
    ) -> Result<Option<LockAnswer>, Error> {
        let which = Find::Key { account: account.clone(), key: key.key.clone() };
        let (store, which) = (&self.parts().store, &which);
        let slot = self.slot(event);
        let found = self.ask(&slot, |at| async move { store.find(&at, which).await }).await?;
        let Some(record) = found.first() else { return Ok(None) };
        let answer = match record.lock_keys.contains(key) {
            true => shown(record, event),
            false => LockAnswer::Mismatch,
        };
        metrics::locked(&answer);
        Ok(Some(answer))
    }

    /// The account's live holds in an event.
    pub async fn holds(
        &self,
        event: &EventId,
        account: &AccountId,
    ) -> Result<Vec<SeatHold>, Error> {
        let Some(slot) = self.slot_of(event).await? else { return Ok(Vec::new()) };
        let mut holds = self.find(&slot, Find::Account(account.clone())).await?;
        holds.sort_unstable_by(|one, other| (one.until, &one.id).cmp(&(other.until, &other.id)));
        Ok(holds)
    }

    pub async fn hold(&self, hold: &HoldId) -> Result<Option<SeatHold>, Error> {
        let Some(event) = hold.event() else { return Ok(None) };
        let Some(slot) = self.slot_of(&event).await? else { return Ok(None) };
        Ok(self.find(&slot, Find::Hold(hold.clone())).await?.pop())
    }

    /// What is held after a booking was decided: its outcome, which may still be on its way to
    /// the seats, is applied first.
    pub async fn hold_after(&self, booking: &Booking) -> Result<Option<SeatHold>, Error> {
        let Some(slot) = self.slot_of(&booking.event_id).await? else { return Ok(None) };
        let hold = &booking.hold_id;
        let record = self.kept_record(&slot, hold).await?;
        let paying = record.filter(|record| record.is_paying(&booking.id));
        if let Some(payment) = paying.as_ref().and_then(HoldRecord::payment) {
            self.decided(&slot, &payment.command).await?;
        }
        Ok(self.find(&slot, Find::Hold(hold.clone())).await?.pop())
    }

    async fn find(&self, slot: &EventSlot, which: Find) -> Result<Vec<SeatHold>, Error> {
        let (store, which) = (&self.parts().store, &which);
        let records = self.ask(slot, |at| async move { store.find(&at, which).await }).await?;
        Ok(records.iter().filter_map(|record| record.shown(slot.event())).collect())
    }

    pub async fn release(
        &self,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<ReleaseAnswer, Error> {
        let Some(event) = hold.event() else { return Ok(ReleaseAnswer::NotFound) };
        let Some(slot) = self.slot_of(&event).await? else { return Ok(ReleaseAnswer::NotFound) };
        let mut answer = self.release_once(&slot, hold, account).await?;
        if answer == ReleaseAnswer::Paying
            && let Some(record) = self.kept_record(&slot, hold).await?
            && let Some(payment) = record.payment()
            && self.decided(&slot, &payment.command).await?.is_some()
        {
            // Its outcome was on the way and is applied now.
            answer = self.release_once(&slot, hold, account).await?;
        }
        metrics::released(answer);
        Ok(answer)
    }

    async fn release_once(
        &self,
        slot: &EventSlot,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<ReleaseAnswer, Error> {
        let store = &self.parts().store;
        self.ask(slot, |at| async move { store.release(&at, hold, account).await }).await
    }

    async fn kept_record(
        &self,
        slot: &EventSlot,
        hold: &HoldId,
    ) -> Result<Option<HoldRecord>, Error> {
        let (store, which) = (&self.parts().store, &Find::Hold(hold.clone()));
        Ok(self.ask(slot, |at| async move { store.find(&at, which).await }).await?.pop())
    }

    /// The booking that a hold is paying, for when neither views nor books know it yet.
    pub async fn paying_booking(&self, id: &BookingId) -> Result<Option<Booking>, Error> {
        Ok(self.paying_command(id).await?.map(|command| Booking::placed(&command)))
    }

    /// The command of a booking that a hold is paying.
    pub(crate) async fn paying_command(
        &self,
        id: &BookingId,
    ) -> Result<Option<Box<ledger::PlaceBooking>>, Error> {
        let Some(hold) = id.hold() else { return Ok(None) };
        let Some(event) = hold.event() else { return Ok(None) };
        let Some(slot) = self.slot_of(&event).await? else { return Ok(None) };
        let paying = self.kept_record(&slot, &hold).await?.filter(|record| record.is_paying(id));
        Ok(paying.and_then(|record| record.payment().map(|payment| payment.command.clone())))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.shared.parts
    }

    pub(crate) fn limits(&self) -> Limits {
        let config = &self.parts().config;
        Limits {
            key_seconds: config.key_seconds,
            declined_hold_seconds: config.declined_hold_seconds,
        }
    }

    /// Every event that was asked about since the start.
    pub(crate) fn slots(&self) -> Vec<Arc<EventSlot>> {
        let slots = self.shared.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.values().cloned().collect()
    }

    pub(crate) fn known_slot(&self, event: &EventId) -> Option<Arc<EventSlot>> {
        let slots = self.shared.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(event).cloned()
    }

    pub(crate) fn slot(&self, event: &Arc<Event>) -> Arc<EventSlot> {
        if let Some(slot) = self.known_slot(&event.id) {
            return slot;
        }
        let mut slots = self.shared.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(event.id.clone());
        let recovery = self.parts().config.recovery;
        slot.or_insert_with(|| Arc::new(EventSlot::new(event.clone(), recovery))).clone()
    }

    /// The event's slot, if there is such an event.
    pub(crate) async fn slot_of(&self, event: &EventId) -> Result<Option<Arc<EventSlot>>, Error> {
        if let Some(slot) = self.known_slot(event) {
            return Ok(Some(slot));
        }
        let event = self.parts().events.event(event).await?;
        Ok(event.map(|event| self.slot(&Arc::new(event))))
    }

    /// Asks the event's copy, and recovers it first if it was lost.
    pub(crate) async fn ask<T, F>(
        &self,
        slot: &EventSlot,
        question: impl Fn(At) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Marked<T>, StoreError>>,
    {
        let source = SeatSource { seats: self, slot };
        let asked = slot.copy.call(&source, |generation| {
            let answering = question(self.at(slot, generation));
            async {
                Ok(match answering.await? {
                    Marked::Here(answer) => Fenced::Is(answer),
                    Marked::Lost => Fenced::Lost,
                })
            }
        });
        asked.await.map(|(_, answer)| answer)
    }

    pub(crate) fn at(&self, slot: &EventSlot, generation: u64) -> At {
        let now = self.parts().clock.now();
        At { event: slot.event().clone(), generation, now, limits: self.limits() }
    }
}

/// A hold that may be over by now.
fn shown(record: &HoldRecord, event: &Event) -> LockAnswer {
    record.shown(event).map_or(LockAnswer::Expired, LockAnswer::Held)
}
