//! Purchases in Postgres: each call is one transaction that locks the records, asks
//! [`purchase`](ledger::purchase) what happens next, and writes the answer.
mod begin;
mod claims;
mod due;
mod gate;
mod records;
mod revisions;
mod seats;
mod steps;
mod transfers;

use self::revisions::Revisions;
use super::store::PgStore;
use async_trait::async_trait;
use ledger::books::{
    Begun, Claims, DueWork, Outbox, PurchaseReads, Purchases, Refunded, Scan, ScanResult,
    Settlement, TicketUse, Tickets, Unscan,
};
use ledger::purchase::Purchase;
use ledger::ticket::Ticket;
use ledger::{
    BookingId, BookingOutcome, CancelBooking, Cursor, EventId, LIMIT_MAX, Page, PlaceBooking,
    StoreError, TicketId, Timestamp, metrics,
};
use std::sync::Arc;

/// [`Purchases`] in a [`PgStore`]. Clones share what they know of revisions.
#[derive(Clone)]
pub struct PgPurchases {
    store: PgStore,
    revisions: Arc<Revisions>,
}

impl PgPurchases {
    pub fn new(store: PgStore) -> Self {
        Self { store, revisions: Arc::default() }
    }
}

#[async_trait]
impl Purchases for PgPurchases {
    async fn begin(
        &self,
        batch: &[PlaceBooking],
        now: Timestamp,
    ) -> Result<Vec<Begun>, StoreError> {
        const DOING: &str = "beginning bookings";
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let input = (batch, now);
        let work = self.store.write(DOING, &input, |connection, (batch, now)| {
            Box::pin(begin::begin(connection, batch, *now))
        });
        let (begun, news) = work.await?;
        count(&news);
        Ok(begun)
    }

    async fn settle(
        &self,
        batch: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        const DOING: &str = "settling bookings";
        let input = (batch, now);
        let work = self.store.write(DOING, &input, |connection, (batch, now)| {
            Box::pin(steps::settle(connection, batch, *now))
        });
        let news = work.await?;
        count(&news);
        Ok(news)
    }

    async fn cancel(
        &self,
        batch: &[CancelBooking],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        const DOING: &str = "cancelling bookings";
        let input = (batch, now);
        let work = self.store.write(DOING, &input, |connection, (batch, now)| {
            Box::pin(steps::cancel(connection, batch, *now))
        });
        let (publish, news) = work.await?;
        count(&news);
        Ok(publish)
    }

    async fn refunded(
        &self,
        batch: &[Refunded],
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, StoreError> {
        const DOING: &str = "recording refunds";
        let input = (batch, now);
        let work = self.store.write(DOING, &input, |connection, (batch, now)| {
            Box::pin(steps::refunded(connection, batch, *now))
        });
        let news = work.await?;
        count(&news);
        Ok(news)
    }

    async fn due(
        &self,
        now: Timestamp,
        next_try: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueWork>, StoreError> {
        // An idle look costs a read, not a write.
        let any = self.store.read("looking for due work", &now, |connection, now| {
            Box::pin(due::any(connection, *now))
        });
        if !any.await? {
            return Ok(Vec::new());
        }
        let input = (now, next_try, limit);
        let work = self.store.write("leasing due work", &input, |connection, input| {
            Box::pin(due::lease(connection, input.0, input.1, input.2))
        });
        work.await
    }
}

#[async_trait]
impl Outbox for PgPurchases {
    async fn unpublished(&self, limit: u32) -> Result<Vec<BookingOutcome>, StoreError> {
        let work = self.store.read("reading the outbox", &limit, |connection, limit| {
            Box::pin(due::unpublished(connection, *limit))
        });
        work.await
    }

    async fn published(&self, outcomes: &[(BookingId, u32)]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let work = self.store.write("emptying the outbox", outcomes, |connection, outcomes| {
            Box::pin(due::published(connection, outcomes))
        });
        work.await
    }
}

#[async_trait]
impl PurchaseReads for PgPurchases {
    async fn purchase(&self, id: &BookingId) -> Result<Option<Purchase>, StoreError> {
        let work = self.store.read("reading a purchase", id, |connection, id| {
            Box::pin(records::one(connection, id))
        });
        work.await
    }

    async fn purchases(&self, cursor: Cursor) -> Result<Page<Purchase>, StoreError> {
        let limit = cursor.limit.clamp(1, LIMIT_MAX);
        let input = (cursor.after.unwrap_or_default(), limit);
        let work = self.store.read("listing purchases", &input, |connection, (after, limit)| {
            Box::pin(records::after(connection, after, *limit))
        });
        let found = work.await?;
        Ok(Page::cut(found, limit, |last: &Purchase| last.command.booking_id.to_string()))
    }

    async fn claims(&self, event: &EventId, revision: u64) -> Result<Claims, StoreError> {
        let input = (event, revision, &*self.revisions);
        let work = self.store.read("reading claims", &input, |connection, input| {
            Box::pin(claims::changed(connection, input.0, input.1, input.2))
        });
        work.await
    }
}

#[async_trait]
impl Tickets for PgPurchases {
    async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, StoreError> {
        let work = self
            .store
            .read("reading a ticket", id, |connection, id| Box::pin(gate::ticket(connection, id)));
        work.await
    }

    async fn scan(&self, scan: &Scan, now: Timestamp) -> Result<Option<ScanResult>, StoreError> {
        let input = (scan, now);
        let work = self.store.write("using a ticket", &input, |connection, (scan, now)| {
            Box::pin(gate::scan(connection, scan, *now))
        });
        work.await
    }

    async fn unscan(
        &self,
        unscan: &Unscan,
        now: Timestamp,
    ) -> Result<Option<ScanResult>, StoreError> {
        let input = (unscan, now);
        let work = self.store.write("taking a scan back", &input, |connection, (unscan, now)| {
            Box::pin(gate::unscan(connection, unscan, *now))
        });
        work.await
    }

    async fn trail(&self, id: &TicketId) -> Result<Vec<TicketUse>, StoreError> {
        let work = self.store.read("reading a ticket's trail", id, |connection, id| {
            Box::pin(gate::trail(connection, id))
        });
        work.await
    }
}

fn count(news: &[BookingOutcome]) {
    news.iter().for_each(|outcome| metrics::outcome(outcome.booking.status));
}
