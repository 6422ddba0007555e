//! Purchases in SQLite: each call is one work of the writer that reads the records, asks
//! [`purchase`](ledger::purchase) what happens next, and writes the answer.
mod begin;
mod claims;
mod due;
mod gate;
mod records;
mod steps;
#[cfg(test)]
mod tests;
mod transfers;

use super::{Connection, SqliteFile};
use async_trait::async_trait;
use ledger::books::{
    Begun, Claims, DueWork, Outbox, PurchaseReads, Purchases, Refunded, Scan, ScanResult,
    Settlement, Tickets,
};
use ledger::purchase::Purchase;
use ledger::ticket::Ticket;
use ledger::{
    BookingId, BookingOutcome, CancelBooking, Cursor, EventId, Page, PlaceBooking, StoreError,
    TicketId, Timestamp,
};
use ledger_sql::{Steps, count_outcomes};

/// [`Purchases`] in a [`SqliteFile`].
#[derive(Clone)]
pub struct SqlitePurchases {
    file: SqliteFile,
}

impl SqlitePurchases {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }

    async fn take(&self, steps: Steps, now: Timestamp) -> Result<Vec<BookingOutcome>, StoreError> {
        let receipt = self.file.write(steps.doing(), move |c| steps::take(c, &steps, now));
        let (publish, news) = receipt.await?;
        count_outcomes(&news);
        Ok(publish)
    }
}

#[async_trait]
impl Purchases for SqlitePurchases {
    async fn begin(
        &self,
        batch: &[PlaceBooking],
        now: Timestamp,
    ) -> Result<Vec<Begun>, StoreError> {
        let batch = batch.to_vec();
        let receipt = self.file.write("beginning bookings", move |c| begin::begin(c, &batch, now));
        let (begun, news) = receipt.await?;
        count_outcomes(&news);
        Ok(begun)
    }

    async fn settle(
        &self,
        batch: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        self.take(Steps::Settle(batch.to_vec()), now).await
    }

    async fn cancel(
        &self,
        batch: &[CancelBooking],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        self.take(Steps::Cancel(batch.to_vec()), now).await
    }

    async fn refunded(
        &self,
        batch: &[Refunded],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        self.take(Steps::Refunded(batch.to_vec()), now).await
    }

    async fn due(
        &self,
        now: Timestamp,
        next_try: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueWork>, StoreError> {
        // An idle look costs a read, not a write.
        if !self.file.read("looking for due work", move |c| due::any(c, now)).await? {
            return Ok(Vec::new());
        }
        let lease = move |connection: &Connection| due::lease(connection, now, next_try, limit);
        self.file.write("leasing due work", lease).await
    }
}

#[async_trait]
impl Outbox for SqlitePurchases {
    async fn unpublished(&self, limit: u32) -> Result<Vec<BookingOutcome>, StoreError> {
        self.file.read("reading the outbox", move |c| due::unpublished(c, limit)).await
    }

    async fn published(&self, outcomes: &[(BookingId, u32)]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let outcomes = outcomes.to_vec();
        self.file.write("emptying the outbox", move |c| due::published(c, &outcomes)).await
    }
}

#[async_trait]
impl PurchaseReads for SqlitePurchases {
    async fn purchase(&self, id: &BookingId) -> Result<Option<Purchase>, StoreError> {
        let id = id.clone();
        self.file.read("reading a purchase", move |c| records::one(c, &id)).await
    }

    async fn purchases(&self, cursor: Cursor) -> Result<Page<Purchase>, StoreError> {
        self.file.read("listing purchases", move |c| records::page(c, cursor)).await
    }

    async fn claims(&self, event: &EventId, revision: u64) -> Result<Claims, StoreError> {
        let event = event.clone();
        self.file.read("reading claims", move |c| claims::changed(c, &event, revision)).await
    }
}

#[async_trait]
impl Tickets for SqlitePurchases {
    async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, StoreError> {
        let id = id.clone();
        self.file.read("reading a ticket", move |c| gate::ticket(c, &id)).await
    }

    async fn scan(&self, scan: &Scan, now: Timestamp) -> Result<Option<ScanResult>, StoreError> {
        let scan = scan.clone();
        self.file.write("using a ticket", move |c| gate::scan(c, &scan, now)).await
    }
}
