//! Statements about events and queues.
use crate::row::signed;
use ledger::{Event, Queue, QueueSettings, Timestamp};
use sqlx::{Error, SqliteConnection};

pub(super) const SELECT_EVENT: &str = "SELECT id, name, date, timezone, venue, on_sale_at,
    queue_id, hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
    created_at FROM events WHERE id = ?";

pub(super) const SELECT_EVENTS: &str = "SELECT id, name, date, timezone, venue, on_sale_at,
    queue_id, hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
    created_at FROM events
    WHERE position > COALESCE((SELECT position FROM events WHERE id = ?), 0)
    ORDER BY position LIMIT ?";

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
