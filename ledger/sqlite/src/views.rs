//! The views in SQLite: bookings by id, by account and by ticket.
use super::{Connection, SqliteFile};
use async_trait::async_trait;
use ledger::{
    AccountId, Booking, BookingId, Cursor, LIMIT_MAX, Page, Replaces, StoreError, TicketId, Views,
};
use rusqlite::Error;

/// The views of one file.
#[derive(Clone)]
pub struct SqliteViews {
    file: SqliteFile,
}

impl SqliteViews {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }

    async fn one(
        &self,
        doing: &'static str,
        sql: &'static str,
        key: &str,
    ) -> Result<Option<Booking>, StoreError> {
        let key = key.to_owned();
        self.file.read(doing, move |c| c.optional(sql, [key], ledger_sql::booking)).await
    }

    async fn write(&self, bookings: &[Booking], replaces: Replaces) -> Result<(), StoreError> {
        const DOING: &str = "putting bookings into the views";
        if bookings.is_empty() {
            return Ok(());
        }
        let text = |booking: &Booking| serde_json::to_string(booking);
        let texts: Result<Vec<_>, _> = bookings.iter().map(text).collect();
        let texts = texts.map_err(|error| StoreError::broken(DOING, error))?;
        let bookings = bookings.to_vec();
        let receipt = self.file.write(DOING, move |connection| {
            for (booking, text) in bookings.iter().zip(&texts) {
                write(connection, booking, text, replaces)?;
            }
            Ok(())
        });
        receipt.await
    }
}

#[async_trait]
impl Views for SqliteViews {
    async fn put(&self, bookings: &[Booking]) -> Result<(), StoreError> {
        self.write(bookings, Replaces::Older).await
    }

    async fn rewrite(&self, bookings: &[Booking]) -> Result<(), StoreError> {
        self.write(bookings, Replaces::Same).await
    }

    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, StoreError> {
        let sql = "SELECT booking FROM booking_views WHERE id = ?1";
        self.one("reading a booking's view", sql, id.as_str()).await
    }

    async fn bookings_of(
        &self,
        account: &AccountId,
        cursor: Cursor,
    ) -> Result<Page<Booking>, StoreError> {
        let limit = cursor.limit.clamp(1, LIMIT_MAX);
        let Some((placed_at, id)) = ledger_sql::page_start(cursor.after.as_deref()) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let account = account.clone();
        let bookings = self.file.read("listing an account's bookings", move |connection| {
            connection.all(
                "SELECT booking FROM booking_views
                 WHERE account_id = ?1 AND (placed_at, id) < (?2, ?3)
                 ORDER BY placed_at DESC, id DESC LIMIT ?4",
                (account.as_str(), placed_at, id, i64::from(limit).saturating_add(1)),
                ledger_sql::booking,
            )
        });
        Ok(Page::cut(bookings.await?, limit, ledger_sql::mark))
    }

    async fn booking_of_ticket(&self, ticket: &TicketId) -> Result<Option<Booking>, StoreError> {
        let sql = "SELECT v.booking FROM ticket_views AS t
                   JOIN booking_views AS v ON v.id = t.booking_id WHERE t.ticket_id = ?1";
        self.one("reading a ticket's booking", sql, ticket.as_str()).await
    }
}

fn write(
    connection: &Connection,
    booking: &Booking,
    text: &str,
    replaces: Replaces,
) -> Result<(), Error> {
    let (id, account, placed_at) = (&booking.id, &booking.account_id, booking.placed_at.millis());
    connection.execute(
        "INSERT INTO booking_views (id, account_id, placed_at, version, booking)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id,
             placed_at = excluded.placed_at, version = excluded.version, booking = excluded.booking
         WHERE excluded.version + ?6 > booking_views.version",
        (id.as_str(), account.as_str(), placed_at, booking.version, text, replaces.reach()),
    )?;
    // A ticket's booking never changes, so it does not matter which version tells of it.
    for ticket in &booking.tickets {
        connection.execute(
            "INSERT INTO ticket_views (ticket_id, booking_id) VALUES (?1, ?2)
             ON CONFLICT (ticket_id) DO NOTHING",
            (ticket.ticket_id.as_str(), id.as_str()),
        )?;
    }
    Ok(())
}
