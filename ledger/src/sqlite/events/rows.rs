//! Rows of events and queues.
use crate::books::LimitsChange;
use crate::clock::Timestamp;
use crate::event::{Event, Queue, QueueSettings, QueueState, SaleTerms};
use crate::ids::{EventId, QueueId};
use crate::layout::Layout;
use crate::sqlite::row::{count, known, parsed, signed, time};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row, SqliteConnection};
use std::sync::Arc;

pub(super) const SELECT_EVENT: &str = "SELECT id, name, date, timezone, venue, on_sale_at,
    queue_id, hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
    created_at FROM events WHERE id = ?";

pub(super) const SELECT_EVENTS: &str = "SELECT id, name, date, timezone, venue, on_sale_at,
    queue_id, hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
    created_at FROM events
    WHERE position > COALESCE((SELECT position FROM events WHERE id = ?), 0)
    ORDER BY position LIMIT ?";

/// An event without its layout.
pub(super) struct EventRow {
    pub(super) id: EventId,
    name: String,
    date: String,
    timezone: String,
    venue: String,
    on_sale_at: Timestamp,
    queue_id: QueueId,
    terms: SaleTerms,
    layout_version: u32,
    created_at: Timestamp,
}

impl EventRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, Error> {
        Ok(Self {
            id: parsed(row, "id", EventId::parse)?,
            name: row.try_get("name")?,
            date: row.try_get("date")?,
            timezone: row.try_get("timezone")?,
            venue: row.try_get("venue")?,
            on_sale_at: time(row, "on_sale_at")?,
            queue_id: parsed(row, "queue_id", QueueId::parse)?,
            terms: SaleTerms {
                hold_ttl_seconds: row.try_get("hold_ttl_seconds")?,
                payment_deadline_seconds: row.try_get("payment_deadline_seconds")?,
                seats_per_account_max: row.try_get("seats_per_account_max")?,
            },
            layout_version: row.try_get("layout_version")?,
            created_at: time(row, "created_at")?,
        })
    }

    pub(super) fn event(self, layout: Arc<Layout>) -> Event {
        Event {
            id: self.id,
            name: self.name,
            date: self.date,
            timezone: self.timezone,
            venue: self.venue,
            on_sale_at: self.on_sale_at,
            queue_id: self.queue_id,
            terms: self.terms,
            layout_version: self.layout_version,
            layout,
            created_at: self.created_at,
        }
    }
}

pub(super) async fn insert_event(
    connection: &mut SqliteConnection,
    event: &Event,
    layout: &str,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO events (id, name, date, timezone, venue, on_sale_at, queue_id,
            hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
            created_at, layout)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(event.id.as_str())
    .bind(&event.name)
    .bind(&event.date)
    .bind(&event.timezone)
    .bind(&event.venue)
    .bind(event.on_sale_at.millis())
    .bind(event.queue_id.as_str())
    .bind(event.terms.hold_ttl_seconds)
    .bind(event.terms.payment_deadline_seconds)
    .bind(event.terms.seats_per_account_max)
    .bind(event.layout_version)
    .bind(event.created_at.millis())
    .bind(layout)
    .execute(connection)
    .await?;
    Ok(())
}

/// The queue of a new event, opening when the event goes on sale.
pub(super) async fn insert_queue(
    connection: &mut SqliteConnection,
    event: &Event,
    settings: QueueSettings,
) -> Result<(), Error> {
    let opens_at = event.on_sale_at;
    let queue = Queue { id: event.queue_id.clone(), settings, opens_at, revision: 1 };
    sqlx::query(
        "INSERT INTO queues (id, state, rate_per_minute, capacity, claim_window_seconds,
            return_seconds, session_seconds, opens_at, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(queue.id.as_str())
    .bind(settings.state.as_str())
    .bind(settings.rate_per_minute)
    .bind(settings.capacity)
    .bind(settings.claim_window_seconds)
    .bind(settings.return_seconds)
    .bind(settings.session_seconds)
    .bind(opens_at.millis())
    .bind(signed(queue.revision))
    .execute(&mut *connection)
    .await?;
    insert_limits(connection, &queue, event.created_at).await
}

pub(super) async fn write_settings(
    connection: &mut SqliteConnection,
    queue: &Queue,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE queues SET state = ?, rate_per_minute = ?, capacity = ?,
            claim_window_seconds = ?, return_seconds = ?, session_seconds = ?, revision = ?
         WHERE id = ?",
    )
    .bind(queue.settings.state.as_str())
    .bind(queue.settings.rate_per_minute)
    .bind(queue.settings.capacity)
    .bind(queue.settings.claim_window_seconds)
    .bind(queue.settings.return_seconds)
    .bind(queue.settings.session_seconds)
    .bind(signed(queue.revision))
    .bind(queue.id.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert_limits(
    connection: &mut SqliteConnection,
    queue: &Queue,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO queue_limits (queue_id, revision, at, state, rate_per_minute, capacity,
            claim_window_seconds, return_seconds, session_seconds)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(queue.id.as_str())
    .bind(signed(queue.revision))
    .bind(at.millis())
    .bind(queue.settings.state.as_str())
    .bind(queue.settings.rate_per_minute)
    .bind(queue.settings.capacity)
    .bind(queue.settings.claim_window_seconds)
    .bind(queue.settings.return_seconds)
    .bind(queue.settings.session_seconds)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn queue_of(row: &SqliteRow) -> Result<Queue, Error> {
    Ok(Queue {
        id: parsed(row, "id", QueueId::parse)?,
        settings: settings_of(row)?,
        opens_at: time(row, "opens_at")?,
        revision: count(row, "revision")?,
    })
}

pub(super) fn limits_of(row: &SqliteRow) -> Result<LimitsChange, Error> {
    Ok(LimitsChange { at: time(row, "at")?, settings: settings_of(row)? })
}

fn settings_of(row: &SqliteRow) -> Result<QueueSettings, Error> {
    Ok(QueueSettings {
        state: known(row, "state", QueueState::parse)?,
        rate_per_minute: row.try_get("rate_per_minute")?,
        capacity: row.try_get("capacity")?,
        claim_window_seconds: row.try_get("claim_window_seconds")?,
        return_seconds: row.try_get("return_seconds")?,
        session_seconds: row.try_get("session_seconds")?,
    })
}
