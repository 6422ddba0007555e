//! Purchases whose calls go wrong.
use crate::faults::Faults;
use async_trait::async_trait;
use ledger::books::{Begun, Books, DueWork, Outbox, Purchases, Refunded, Settlement};
use ledger::{BookingId, BookingOutcome, CancelBooking, PlaceBooking, StoreError, Timestamp};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) struct FaultyPurchases {
    pub(crate) inner: Books,
    pub(crate) faults: Faults,
    pub(crate) poison: Poison,
}

/// Bookings that the books refuse for ever; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Poison {
    opened: Arc<Mutex<HashSet<BookingId>>>,
    settled: Arc<Mutex<HashSet<BookingId>>>,
    refusals: Arc<AtomicUsize>,
}

impl Poison {
    /// These cannot be opened.
    pub(crate) fn opening<'a>(&self, bookings: impl IntoIterator<Item = &'a BookingId>) {
        self.opened.lock().unwrap().extend(bookings.into_iter().cloned());
    }

    /// The gateway's answers to these cannot be recorded.
    pub(crate) fn settling<'a>(&self, bookings: impl IntoIterator<Item = &'a BookingId>) {
        self.settled.lock().unwrap().extend(bookings.into_iter().cloned());
    }

    /// Batches that were refused.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Refuses a batch with poison in it whole, as one transaction does.
    fn refuse<'a>(
        &self,
        poison: &Mutex<HashSet<BookingId>>,
        mut batch: impl Iterator<Item = &'a BookingId>,
    ) -> Result<(), StoreError> {
        let poison = poison.lock().unwrap();
        if batch.any(|id| poison.contains(id)) {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::broken("testing", "a planted poison"));
        }
        Ok(())
    }

    pub(crate) fn mend(&self) {
        self.opened.lock().unwrap().clear();
        self.settled.lock().unwrap().clear();
    }
}

#[async_trait]
impl Purchases for FaultyPurchases {
    async fn begin(
        &self,
        batch: &[PlaceBooking],
        now: Timestamp,
    ) -> Result<Vec<Begun>, StoreError> {
        let (poison, ids) = (&self.poison, batch.iter().map(|place| &place.booking_id));
        poison.refuse(&poison.opened, ids)?;
        self.faults.around(self.inner.purchases.begin(batch, now)).await
    }

    async fn settle(
        &self,
        batch: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        let (poison, ids) = (&self.poison, batch.iter().map(|answer| &answer.booking_id));
        poison.refuse(&poison.settled, ids)?;
        self.faults.around(self.inner.purchases.settle(batch, now)).await
    }

    async fn cancel(
        &self,
        batch: &[CancelBooking],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        self.faults.around(self.inner.purchases.cancel(batch, now)).await
    }

    async fn refunded(
        &self,
        batch: &[Refunded],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        self.faults.around(self.inner.purchases.refunded(batch, now)).await
    }

    async fn due(
        &self,
        now: Timestamp,
        next_try: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueWork>, StoreError> {
        self.faults.behind(self.inner.purchases.due(now, next_try, limit)).await
    }
}

#[async_trait]
impl Outbox for FaultyPurchases {
    async fn unpublished(&self, limit: u32) -> Result<Vec<BookingOutcome>, StoreError> {
        self.faults.behind(self.inner.outbox.unpublished(limit)).await
    }

    async fn published(&self, outcomes: &[(BookingId, u32)]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        self.faults.around(self.inner.outbox.published(outcomes)).await
    }
}
