//! The views in Postgres: bookings by id, by account and by ticket.
use super::fault::Fault;
use super::store::PgStore;
use async_trait::async_trait;
use ledger::{
    AccountId, Booking, BookingId, Cursor, LIMIT_MAX, Page, Replaces, StoreError, TicketId, Views,
};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;

/// [`Views`] in a [`PgStore`].
#[derive(Clone)]
pub struct PgViews {
    store: PgStore,
}

impl PgViews {
    pub fn new(store: PgStore) -> Self {
        Self { store }
    }

    async fn one(
        &self,
        doing: &'static str,
        sql: &'static str,
        key: &str,
    ) -> Result<Option<Booking>, StoreError> {
        let input = (sql, key);
        let work = self.store.read(doing, &input, |connection, (sql, key)| {
            Box::pin(async move {
                let found = sqlx::query(*sql).bind(key);
                let found = found.try_map(|row: PgRow| Ok(ledger_sql::booking(&row)?));
                Ok(found.fetch_optional(connection).await?)
            })
        });
        work.await
    }

    async fn write(&self, bookings: &[Booking], replaces: Replaces) -> Result<(), StoreError> {
        if bookings.is_empty() {
            return Ok(());
        }
        const DOING: &str = "putting bookings into the views";
        let input = (bookings, replaces);
        let work = self.store.write(DOING, &input, |connection, (bookings, replaces)| {
            Box::pin(put(connection, bookings, *replaces))
        });
        work.await
    }
}

#[async_trait]
impl Views for PgViews {
    async fn put(&self, bookings: &[Booking]) -> Result<(), StoreError> {
        self.write(bookings, Replaces::Older).await
    }

    async fn rewrite(&self, bookings: &[Booking]) -> Result<(), StoreError> {
        self.write(bookings, Replaces::Same).await
    }

    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, StoreError> {
        let sql = "SELECT booking FROM booking_views WHERE id = $1";
        self.one("reading a booking's view", sql, id.as_str()).await
    }

    async fn bookings_of(
        &self,
        account: &AccountId,
        cursor: Cursor,
    ) -> Result<Page<Booking>, StoreError> {
        let limit = cursor.limit.clamp(1, LIMIT_MAX);
        let Some(start) = ledger_sql::page_start(cursor.after.as_deref()) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let input = (account, start, i64::from(limit).saturating_add(1));
        let doing = "listing an account's bookings";
        let work = self.store.read(doing, &input, |connection, (account, start, limit)| {
            Box::pin(async move {
                let found = sqlx::query(
                    "SELECT booking FROM booking_views
                     WHERE account_id = $1 AND (placed_at, id) < ($2, $3)
                     ORDER BY placed_at DESC, id DESC LIMIT $4",
                )
                .bind(account.as_str())
                .bind(start.0)
                .bind(&start.1)
                .bind(limit)
                .try_map(|row: PgRow| Ok(ledger_sql::booking(&row)?))
                .fetch_all(connection);
                Ok(found.await?)
            })
        });
        Ok(Page::cut(work.await?, limit, ledger_sql::mark))
    }

    async fn booking_of_ticket(&self, ticket: &TicketId) -> Result<Option<Booking>, StoreError> {
        let sql = "SELECT v.booking FROM ticket_views AS t
                   JOIN booking_views AS v ON v.id = t.booking_id WHERE t.ticket_id = $1";
        self.one("reading a ticket's booking", sql, ticket.as_str()).await
    }
}

async fn put(
    connection: &mut PgConnection,
    bookings: &[Booking],
    replaces: Replaces,
) -> Result<(), Fault> {
    // One statement may touch a row once only; sorted, so that nobody waits in a circle.
    let mut newest: BTreeMap<&BookingId, &Booking> = BTreeMap::new();
    for booking in bookings {
        let kept = newest.entry(&booking.id).or_insert(booking);
        if booking.version > kept.version {
            *kept = booking;
        }
    }
    let texts = newest.values().map(ledger_sql::json).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO booking_views (id, account_id, placed_at, version, booking)
         SELECT id, account_id, placed_at, version, booking
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
             WITH ORDINALITY AS t (id, account_id, placed_at, version, booking, ordinal)
         ORDER BY ordinal
         ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id,
             placed_at = excluded.placed_at, version = excluded.version,
             booking = excluded.booking
         WHERE excluded.version + $6 > booking_views.version",
    )
    .bind(newest.keys().map(|id| id.as_str()).collect::<Vec<_>>())
    .bind(newest.values().map(|b| b.account_id.as_str()).collect::<Vec<_>>())
    .bind(newest.values().map(|b| b.placed_at.millis()).collect::<Vec<_>>())
    .bind(newest.values().map(|b| i64::from(b.version)).collect::<Vec<_>>())
    .bind(texts)
    .bind(replaces.reach())
    .execute(&mut *connection)
    .await?;
    put_tickets(connection, bookings).await
}

/// A ticket's booking never changes, so it does not matter which version tells of it.
async fn put_tickets(connection: &mut PgConnection, bookings: &[Booking]) -> Result<(), Fault> {
    let tickets = bookings.iter().flat_map(|b| b.tickets.iter().map(|t| (&t.ticket_id, &b.id)));
    let tickets: BTreeMap<&TicketId, &BookingId> = tickets.collect();
    if tickets.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO ticket_views (ticket_id, booking_id)
         SELECT ticket_id, booking_id FROM unnest($1::text[], $2::text[])
             WITH ORDINALITY AS t (ticket_id, booking_id, ordinal)
         ORDER BY ordinal ON CONFLICT (ticket_id) DO NOTHING",
    )
    .bind(tickets.keys().map(|id| id.as_str()).collect::<Vec<_>>())
    .bind(tickets.values().map(|id| id.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
