//! The views in SQLite: bookings by id, by account and by ticket.
use super::file::SqliteFile;
use super::row::unread;
use async_trait::async_trait;
use ledger::{
    AccountId, Booking, BookingId, Cursor, LIMIT_MAX, Page, Replaces, StoreError, TicketId, Views,
};
use serde::Serialize;
use sqlx::SqliteConnection;

/// The views of one file.
#[derive(Clone)]
pub struct SqliteViews {
    file: SqliteFile,
}

#[derive(Serialize)]
struct ViewRow<'a>(&'a BookingId, &'a AccountId, i64, u32, String);

impl SqliteViews {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }

    async fn write(&self, bookings: &[Booking], replaces: Replaces) -> Result<(), StoreError> {
        const DOING: &str = "putting bookings into the views";
        if bookings.is_empty() {
            return Ok(());
        }
        let broken = |error| StoreError::broken(DOING, error);
        let views = serde_json::to_string(&view_rows(bookings).map_err(broken)?).map_err(broken)?;
        let tickets = serde_json::to_string(&ticket_rows(bookings)).map_err(broken)?;
        let receipt = self.file.write(DOING, move |connection| {
            Box::pin(async move { write(connection, views, tickets, replaces).await })
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
        const DOING: &str = "reading a booking's view";
        let text: Option<String> =
            sqlx::query_scalar("SELECT booking FROM booking_views WHERE id = ?1")
                .bind(id.as_str())
                .fetch_optional(self.file.readers())
                .await
                .map_err(unread(DOING))?;
        text.map(|text| ledger_sql::booking(DOING, &text)).transpose()
    }

    async fn bookings_of(
        &self,
        account: &AccountId,
        cursor: Cursor,
    ) -> Result<Page<Booking>, StoreError> {
        const DOING: &str = "listing an account's bookings";
        let limit = cursor.limit.clamp(1, LIMIT_MAX);
        let Some((placed_at, id)) = ledger_sql::page_start(cursor.after.as_deref()) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let texts: Vec<String> = sqlx::query_scalar(
            "SELECT booking FROM booking_views \
             WHERE account_id = ?1 AND (placed_at, id) < (?2, ?3) \
             ORDER BY placed_at DESC, id DESC LIMIT ?4",
        )
        .bind(account.as_str())
        .bind(placed_at)
        .bind(id)
        .bind(i64::from(limit).saturating_add(1))
        .fetch_all(self.file.readers())
        .await
        .map_err(unread(DOING))?;
        let bookings =
            texts.iter().map(|text| ledger_sql::booking(DOING, text)).collect::<Result<_, _>>()?;
        Ok(Page::cut(bookings, limit, ledger_sql::mark))
    }

    async fn booking_of_ticket(&self, ticket: &TicketId) -> Result<Option<Booking>, StoreError> {
        const DOING: &str = "reading a ticket's booking";
        let text: Option<String> = sqlx::query_scalar(
            "SELECT v.booking FROM ticket_views AS t \
             JOIN booking_views AS v ON v.id = t.booking_id WHERE t.ticket_id = ?1",
        )
        .bind(ticket.as_str())
        .fetch_optional(self.file.readers())
        .await
        .map_err(unread(DOING))?;
        text.map(|text| ledger_sql::booking(DOING, &text)).transpose()
    }
}

fn view_rows(bookings: &[Booking]) -> Result<Vec<ViewRow<'_>>, serde_json::Error> {
    let row = |b: &Booking| serde_json::to_string(b);
    bookings
        .iter()
        .map(|b| Ok(ViewRow(&b.id, &b.account_id, b.placed_at.millis(), b.version, row(b)?)))
        .collect()
}

fn ticket_rows(bookings: &[Booking]) -> Vec<(&TicketId, &BookingId)> {
    bookings.iter().flat_map(|b| b.tickets.iter().map(|t| (&t.ticket_id, &b.id))).collect()
}

async fn write(
    connection: &mut SqliteConnection,
    views: String,
    tickets: String,
    replaces: Replaces,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO booking_views (id, account_id, placed_at, version, booking) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 \
         FROM json_each(?1) WHERE true ORDER BY key \
         ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id, \
         placed_at = excluded.placed_at, version = excluded.version, booking = excluded.booking \
         WHERE excluded.version + ?2 > booking_views.version",
    )
    .bind(views)
    .bind(replaces.reach())
    .execute(&mut *connection)
    .await?;
    if tickets == "[]" {
        return Ok(());
    }
    // A ticket's booking never changes, so it does not matter which version tells of it.
    sqlx::query(
        "INSERT INTO ticket_views (ticket_id, booking_id) \
         SELECT value ->> 0, value ->> 1 FROM json_each(?1) WHERE true \
         ON CONFLICT (ticket_id) DO NOTHING",
    )
    .bind(tickets)
    .execute(connection)
    .await?;
    Ok(())
}
