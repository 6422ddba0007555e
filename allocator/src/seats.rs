//! The handle: everything that others call.
use crate::apart::{self, Left};
use crate::recovery::{EventCopy, SeatSource};
use crate::store::{CopyRef, Find, Limits, Lock, Locked, SeatStore};
use crate::{
    Config, Error, HoldRecord, Keyed, LockAnswer, LockRequest, ReleaseAnswer, SeatHold, Wish,
    metrics,
};
use ledger::booking_trace::{BookingStep, booking_span};
use ledger::books::{Events, PurchaseReads, SeatGenerations};
use ledger::{
    AccountId, Booking, BookingId, BookingLog, Clock, Event, EventId, Fenced, HoldId, IdSource,
    SectionId, StoreError, read_lock, write_lock,
};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use tracing::Instrument;
use tracing::field::display;

/// How often places apart are looked for that others take meanwhile.
const APART_TRIES: u32 = 4;

/// What the allocator is made of.
#[derive(Clone)]
pub struct Parts {
    pub store: Arc<dyn SeatStore>,
    pub purchases: Arc<dyn PurchaseReads>,
    pub events: Arc<dyn Events>,
    pub generations: Arc<dyn SeatGenerations>,
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
    /// Events in use since the start: as many as the operator sells.
    copies: RwLock<HashMap<EventId, Arc<EventCopy>>>,
}

impl SeatAllocator {
    pub fn new(parts: Parts) -> Self {
        Self { shared: Arc::new(Shared { parts, copies: RwLock::default() }) }
    }

    /// An exclusive hold: all that was wished for, or nothing.
    pub async fn lock(&self, request: LockRequest) -> Result<LockAnswer, Error> {
        let span = booking_span(BookingStep::Lock, &request.event.id, None, None);
        let answer = self.lock_unmeasured(request).instrument(span.clone()).await?;
        if let LockAnswer::Held(hold) = &answer {
            span.record("hold.id", display(&hold.id));
            span.in_scope(|| BookingStep::Lock.done());
        }
        metrics::locked(&answer);
        Ok(answer)
    }

    async fn lock_unmeasured(&self, request: LockRequest) -> Result<LockAnswer, Error> {
        let LockRequest { event, account, slot, wish, together, key } = request;
        let quantity = match &wish {
            Wish::Places(places) => u32::try_from(places.len()).unwrap_or(u32::MAX),
            Wish::Best { quantity, .. } => *quantity,
        };
        let max = self.parts().config.seats_per_lock_max;
        if quantity > max {
            return Ok(LockAnswer::TooMany { max });
        }
        let dearest = event.layout.price_range().map_or(0, |(_, dearest)| dearest.minor);
        dearest.checked_mul(i64::from(quantity)).ok_or(Error::Overflow)?;
        let minted = self.parts().ids.hold(&event.id, self.parts().clock.now());
        let request = Lock { account, slot, wish, key, minted };
        let seats = self.copy(&event);
        let mut locked = self.lock_in(&seats, &request).await?;
        if locked == Locked::SoldOut
            && let Wish::Best { quantity, section } = &request.wish
        {
            if together && *quantity > 1 {
                return self.left_apart(&seats, *quantity, section.as_ref()).await;
            }
            locked = self.lock_apart(&seats, &request, *quantity, section.as_ref()).await?;
        }
        Ok(match locked {
            Locked::Held(record) => shown(&record, &event),
            Locked::Taken => LockAnswer::Taken,
            Locked::SoldOut => LockAnswer::SoldOut,
            Locked::OverCap => LockAnswer::OverCap,
            Locked::Mismatch => LockAnswer::Mismatch,
            Locked::Expired => LockAnswer::Expired,
        })
    }

    async fn lock_in(&self, copy: &EventCopy, request: &Lock) -> Result<Locked, Error> {
        let store = &self.parts().store;
        self.call(copy, |at| async move { store.lock(&at, request).await }).await
    }

    /// Places wherever they are free. Others take some meanwhile: then the seats are looked at anew.
    async fn lock_apart(
        &self,
        copy: &EventCopy,
        request: &Lock,
        quantity: u32,
        section: Option<&SectionId>,
    ) -> Result<Locked, Error> {
        let store = &self.parts().store;
        for _ in 0..APART_TRIES {
            let now = self.call(copy, |at| async move { store.snapshot(&at).await }).await?;
            let layout = &copy.event().layout;
            let Some(places) = apart::find(layout, &now.places, quantity, section) else {
                return Ok(Locked::SoldOut);
            };
            let request = Lock { wish: Wish::Places(places), ..request.clone() };
            match self.lock_in(copy, &request).await? {
                Locked::Taken => {}
                answer => return Ok(answer),
            }
        }
        Ok(Locked::Taken)
    }

    /// A party found no places side by side. What is free is as old as the shown seat map, which
    /// everybody who asks shares.
    async fn left_apart(
        &self,
        copy: &EventCopy,
        quantity: u32,
        section: Option<&SectionId>,
    ) -> Result<LockAnswer, Error> {
        let built = self.built(copy).await?;
        if built.availability.free == 0 {
            return Ok(LockAnswer::SoldOut);
        }
        Ok(match apart::left(&copy.event().layout, &built.letters, section) {
            Left { free: 0, .. } => LockAnswer::SoldOut,
            left => {
                // Somebody took a larger group since the map was made.
                let largest_group = left.largest_group.min(quantity - 1);
                LockAnswer::Apart(Left { largest_group, ..left })
            }
        })
    }

    /// What a lock with this key was answered before, if there was one: a key is compared before
    /// anything else, also before anybody asks who may enter.
    #[tracing::instrument(
        level = "debug",
        skip_all,
        fields(event.id = %event.id, account.id = %account)
    )]
    pub async fn locked_before(
        &self,
        event: &Arc<Event>,
        account: &AccountId,
        key: &Keyed,
    ) -> Result<Option<LockAnswer>, Error> {
        let which = Find::Key { account: account.clone(), key: key.key.clone() };
        let (store, which) = (&self.parts().store, &which);
        let copy = self.copy(event);
        let found = self.call(&copy, |at| async move { store.find(&at, which).await }).await?;
        let Some(record) = found.first() else { return Ok(None) };
        let answer = match record.lock_keys.contains(key) {
            true => shown(record, event),
            false => LockAnswer::Mismatch,
        };
        metrics::locked(&answer);
        Ok(Some(answer))
    }

    /// The account's live holds in an event.
    #[tracing::instrument(
        level = "debug",
        skip_all,
        fields(event.id = %event, account.id = %account)
    )]
    pub async fn holds(
        &self,
        event: &EventId,
        account: &AccountId,
    ) -> Result<Vec<SeatHold>, Error> {
        let Some(copy) = self.copy_of(event).await? else { return Ok(Vec::new()) };
        let mut holds = self.find(&copy, Find::Account(account.clone())).await?;
        holds.sort_unstable_by(|one, other| (one.until, &one.id).cmp(&(other.until, &other.id)));
        Ok(holds)
    }

    #[tracing::instrument(level = "debug", skip_all, fields(hold.id = %hold))]
    pub async fn hold(&self, hold: &HoldId) -> Result<Option<SeatHold>, Error> {
        let Some(event) = hold.event() else { return Ok(None) };
        let Some(copy) = self.copy_of(&event).await? else { return Ok(None) };
        Ok(self.find(&copy, Find::Hold(hold.clone())).await?.pop())
    }

    /// What is held after a booking was decided: its outcome, which may still be on its way to
    /// the seats, is applied first.
    #[tracing::instrument(
        level = "debug",
        skip_all,
        fields(event.id = %booking.event_id, booking.id = %booking.id, hold.id = %booking.hold_id)
    )]
    pub async fn hold_after(&self, booking: &Booking) -> Result<Option<SeatHold>, Error> {
        let Some(copy) = self.copy_of(&booking.event_id).await? else { return Ok(None) };
        let hold = &booking.hold_id;
        let record = self.record(&copy, hold).await?;
        let paying = record.filter(|record| record.is_paying(&booking.id));
        if let Some(payment) = paying.as_ref().and_then(HoldRecord::payment) {
            self.decided(&copy, &payment.command).await?;
        }
        Ok(self.find(&copy, Find::Hold(hold.clone())).await?.pop())
    }

    async fn find(&self, copy: &EventCopy, which: Find) -> Result<Vec<SeatHold>, Error> {
        let (store, which) = (&self.parts().store, &which);
        let records = self.call(copy, |at| async move { store.find(&at, which).await }).await?;
        Ok(records.iter().filter_map(|record| record.shown(copy.event())).collect())
    }

    #[tracing::instrument(
        level = "debug",
        skip_all,
        fields(hold.id = %hold, account.id = %account)
    )]
    pub async fn release(
        &self,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<ReleaseAnswer, Error> {
        let Some(event) = hold.event() else { return Ok(ReleaseAnswer::NotFound) };
        let Some(copy) = self.copy_of(&event).await? else { return Ok(ReleaseAnswer::NotFound) };
        let mut answer = self.release_once(&copy, hold, account).await?;
        if answer == ReleaseAnswer::Paying
            && let Some(record) = self.record(&copy, hold).await?
            && let Some(payment) = record.payment()
            && self.decided(&copy, &payment.command).await?.is_some()
        {
            // Its outcome was on the way and is applied now.
            answer = self.release_once(&copy, hold, account).await?;
        }
        metrics::released(answer);
        Ok(answer)
    }

    async fn release_once(
        &self,
        copy: &EventCopy,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<ReleaseAnswer, Error> {
        let store = &self.parts().store;
        self.call(copy, |at| async move { store.release(&at, hold, account).await }).await
    }

    async fn record(&self, copy: &EventCopy, hold: &HoldId) -> Result<Option<HoldRecord>, Error> {
        let (store, which) = (&self.parts().store, &Find::Hold(hold.clone()));
        Ok(self.call(copy, |at| async move { store.find(&at, which).await }).await?.pop())
    }

    /// The booking that a hold is paying, for when neither views nor books know it yet.
    #[tracing::instrument(level = "debug", skip_all, fields(booking.id = %id))]
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
        let Some(copy) = self.copy_of(&event).await? else { return Ok(None) };
        let paying = self.record(&copy, &hold).await?.filter(|record| record.is_paying(id));
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

    /// Every event in use since the start.
    pub(crate) fn copies(&self) -> Vec<Arc<EventCopy>> {
        let copies = read_lock(&self.shared.copies);
        copies.values().cloned().collect()
    }

    pub(crate) fn known_copy(&self, event: &EventId) -> Option<Arc<EventCopy>> {
        let copies = read_lock(&self.shared.copies);
        copies.get(event).cloned()
    }

    pub(crate) fn copy(&self, event: &Arc<Event>) -> Arc<EventCopy> {
        if let Some(copy) = self.known_copy(&event.id) {
            return copy;
        }
        let mut copies = write_lock(&self.shared.copies);
        let copy = copies.entry(event.id.clone());
        let recovery = self.parts().config.recovery;
        copy.or_insert_with(|| Arc::new(EventCopy::new(event.clone(), recovery))).clone()
    }

    /// What this node knows of the event's copy, if there is such an event.
    pub(crate) async fn copy_of(&self, event: &EventId) -> Result<Option<Arc<EventCopy>>, Error> {
        if let Some(copy) = self.known_copy(event) {
            return Ok(Some(copy));
        }
        let event = self.parts().events.event(event).await?;
        Ok(event.map(|event| self.copy(&Arc::new(event))))
    }

    /// Calls the store about the event's copy, and recovers the copy first if it was lost.
    pub(crate) async fn call<T, F>(
        &self,
        copy: &EventCopy,
        request: impl Fn(CopyRef) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Fenced<T>, StoreError>>,
    {
        let source = SeatSource { seats: self, copy };
        let called = copy.fenced.call(&source, |generation| request(self.at(copy, generation)));
        called.await.map(|(_, answer)| answer)
    }

    pub(crate) fn at(&self, copy: &EventCopy, generation: u64) -> CopyRef {
        let now = self.parts().clock.now();
        CopyRef { event: copy.event().clone(), generation, now, limits: self.limits() }
    }
}

/// A hold that may be over by now.
fn shown(record: &HoldRecord, event: &Event) -> LockAnswer {
    record.shown(event).map_or(LockAnswer::Expired, LockAnswer::Held)
}
