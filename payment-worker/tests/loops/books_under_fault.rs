//! Purchases whose calls go wrong.
use crate::faults::Faults;
use async_trait::async_trait;
use ledger::books::{Begun, Claims, DueWork, Purchases, Refunded, Scan, ScanResult, Settlement};
use ledger::purchase::Purchase;
use ledger::{
    BookingId, BookingOutcome, CancelBooking, Cursor, EventId, Page, PlaceBooking, StoreError,
    Ticket, TicketId, Timestamp,
};
use std::sync::Arc;

pub(crate) struct FaultyPurchases {
    pub(crate) inner: Arc<dyn Purchases>,
    pub(crate) faults: Faults,
}

#[async_trait]
impl Purchases for FaultyPurchases {
    async fn begin(
        &self,
        batch: &[PlaceBooking],
        now: Timestamp,
    ) -> Result<Vec<Begun>, StoreError> {
        self.faults.around(self.inner.begin(batch, now)).await
    }

    async fn settle(
        &self,
        batch: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        self.faults.around(self.inner.settle(batch, now)).await
    }

    async fn cancel(
        &self,
        batch: &[CancelBooking],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        self.faults.around(self.inner.cancel(batch, now)).await
    }

    async fn refunded(
        &self,
        batch: &[Refunded],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        self.faults.around(self.inner.refunded(batch, now)).await
    }

    async fn due(
        &self,
        now: Timestamp,
        next_try: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueWork>, StoreError> {
        self.faults.behind(self.inner.due(now, next_try, limit)).await
    }

    async fn unpublished(&self, limit: u32) -> Result<Vec<BookingOutcome>, StoreError> {
        self.faults.behind(self.inner.unpublished(limit)).await
    }

    async fn published(&self, outcomes: &[(BookingId, u32)]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        self.faults.around(self.inner.published(outcomes)).await
    }

    async fn purchase(&self, id: &BookingId) -> Result<Option<Purchase>, StoreError> {
        self.inner.purchase(id).await
    }

    async fn purchases(&self, cursor: Cursor) -> Result<Page<Purchase>, StoreError> {
        self.inner.purchases(cursor).await
    }

    async fn claims(&self, event: &EventId, revision: u64) -> Result<Claims, StoreError> {
        self.inner.claims(event, revision).await
    }

    async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, StoreError> {
        self.inner.ticket(id).await
    }

    async fn scan(&self, scan: &Scan, now: Timestamp) -> Result<Option<ScanResult>, StoreError> {
        self.inner.scan(scan, now).await
    }
}
