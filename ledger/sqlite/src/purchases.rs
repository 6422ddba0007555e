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

use super::file::SqliteFile;
use super::row::unread;
use async_trait::async_trait;
use ledger::books::{
    Begun, Claims, DueWork, Outbox, PurchaseReads, Purchases, Refunded, Scan, ScanResult,
    Settlement, TicketUse, Tickets, Unscan,
};
use ledger::purchase::Purchase;
use ledger::ticket::Ticket;
use ledger::{
    BookingId, BookingOutcome, CancelBooking, Cursor, EventId, Page, PlaceBooking, StoreError,
    TicketId, Timestamp, metrics,
};

/// [`Purchases`] in a [`SqliteFile`].
#[derive(Clone)]
pub struct SqlitePurchases {
    file: SqliteFile,
}

impl SqlitePurchases {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
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
        let receipt = self.file.write("beginning bookings", move |connection| {
            Box::pin(async move { begin::begin(connection, &batch, now).await })
        });
        let (begun, new) = receipt.await?;
        new.iter().for_each(count);
        Ok(begun)
    }

    async fn settle(
        &self,
        batch: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        let batch = batch.to_vec();
        let receipt = self.file.write("settling bookings", move |connection| {
            Box::pin(async move { steps::settle(connection, &batch, now).await })
        });
        Ok(counted(receipt.await?))
    }

    async fn cancel(
        &self,
        batch: &[CancelBooking],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        let batch = batch.to_vec();
        let receipt = self.file.write("cancelling bookings", move |connection| {
            Box::pin(async move { steps::cancel(connection, &batch, now).await })
        });
        let (outcomes, new) = receipt.await?;
        new.iter().for_each(count);
        Ok(outcomes)
    }

    async fn refunded(
        &self,
        batch: &[Refunded],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        let batch = batch.to_vec();
        let receipt = self.file.write("recording refunds", move |connection| {
            Box::pin(async move { steps::refunded(connection, &batch, now).await })
        });
        Ok(counted(receipt.await?))
    }

    async fn due(
        &self,
        now: Timestamp,
        next_try: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueWork>, StoreError> {
        // An idle look costs a read, not a write.
        if !due::any(self.file.readers(), now).await.map_err(unread("looking for due work"))? {
            return Ok(Vec::new());
        }
        let receipt = self.file.write("leasing due work", move |connection| {
            Box::pin(due::lease(connection, now, next_try, limit))
        });
        receipt.await
    }
}

#[async_trait]
impl Outbox for SqlitePurchases {
    async fn unpublished(&self, limit: u32) -> Result<Vec<BookingOutcome>, StoreError> {
        due::unpublished(self.file.readers(), limit).await.map_err(unread("reading the outbox"))
    }

    async fn published(&self, outcomes: &[(BookingId, u32)]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let outcomes = outcomes.to_vec();
        let receipt = self.file.write("emptying the outbox", move |connection| {
            Box::pin(async move { due::published(connection, &outcomes).await })
        });
        receipt.await
    }
}

#[async_trait]
impl PurchaseReads for SqlitePurchases {
    async fn purchase(&self, id: &BookingId) -> Result<Option<Purchase>, StoreError> {
        records::one(self.file.readers(), id).await.map_err(unread("reading a purchase"))
    }

    async fn purchases(&self, cursor: Cursor) -> Result<Page<Purchase>, StoreError> {
        records::page(self.file.readers(), cursor).await.map_err(unread("listing purchases"))
    }

    async fn claims(&self, event: &EventId, revision: u64) -> Result<Claims, StoreError> {
        claims::changed(self.file.readers(), event, revision)
            .await
            .map_err(unread("reading claims"))
    }
}

#[async_trait]
impl Tickets for SqlitePurchases {
    async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, StoreError> {
        gate::ticket(self.file.readers(), id).await.map_err(unread("reading a ticket"))
    }

    async fn scan(&self, scan: &Scan, now: Timestamp) -> Result<Option<ScanResult>, StoreError> {
        let scan = scan.clone();
        let receipt = self.file.write("using a ticket", move |connection| {
            Box::pin(async move { gate::scan(connection, &scan, now).await })
        });
        receipt.await
    }

    async fn unscan(
        &self,
        unscan: &Unscan,
        now: Timestamp,
    ) -> Result<Option<ScanResult>, StoreError> {
        let unscan = unscan.clone();
        let receipt = self.file.write("taking a scan back", move |connection| {
            Box::pin(async move { gate::unscan(connection, &unscan, now).await })
        });
        receipt.await
    }

    async fn trail(&self, id: &TicketId) -> Result<Vec<TicketUse>, StoreError> {
        gate::trail(self.file.readers(), id).await.map_err(unread("reading a ticket's trail"))
    }
}

fn counted(outcomes: Vec<BookingOutcome>) -> Vec<BookingOutcome> {
    outcomes.iter().for_each(count);
    outcomes
}

fn count(outcome: &BookingOutcome) {
    metrics::outcome(outcome.booking.status);
}
