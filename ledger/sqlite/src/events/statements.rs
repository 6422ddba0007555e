//! Statements about events and queues.
use crate::Connection;
use ledger::{Event, Queue, QueueSettings, Timestamp};
use ledger_sql::signed;
use rusqlite::{Error, params};

pub(super) const SELECT_EVENT: &str = "SELECT id, name, date, timezone, venue, on_sale_at,
    queue_id, hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
    created_at FROM events WHERE id = ?1";

pub(super) const SELECT_EVENTS: &str = "SELECT id, name, date, timezone, venue, on_sale_at,
    queue_id, hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
    created_at FROM events
    WHERE position > COALESCE((SELECT position FROM events WHERE id = ?1), 0)
    ORDER BY position LIMIT ?2";

pub(super) fn insert_event(
    connection: &Connection,
    event: &Event,
    layout: &str,
) -> Result<(), Error> {
    connection.execute(
        "INSERT INTO events (id, name, date, timezone, venue, on_sale_at, queue_id,
            hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
            created_at, layout)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            event.id.as_str(),
            event.name,
            event.date,
            event.timezone,
            event.venue,
            event.on_sale_at.millis(),
            event.queue_id.as_str(),
            event.terms.hold_ttl_seconds,
            event.terms.payment_deadline_seconds,
            event.terms.seats_per_account_max,
            event.layout_version,
            event.created_at.millis(),
            layout,
        ],
    )?;
    Ok(())
}

/// The queue of a new event, opening when the event goes on sale.
pub(super) fn insert_queue(
    connection: &Connection,
    event: &Event,
    settings: QueueSettings,
) -> Result<(), Error> {
    let opens_at = event.on_sale_at;
    let queue = Queue { id: event.queue_id.clone(), settings, opens_at, revision: 1 };
    connection.execute(
        "INSERT INTO queues (id, state, rate_per_minute, capacity, claim_window_seconds,
            return_seconds, session_seconds, opens_at, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            queue.id.as_str(),
            settings.state.as_str(),
            settings.rate_per_minute,
            settings.capacity,
            settings.claim_window_seconds,
            settings.return_seconds,
            settings.session_seconds,
            opens_at.millis(),
            signed(queue.revision),
        ],
    )?;
    insert_limits(connection, &queue, event.created_at)
}

pub(super) fn write_settings(connection: &Connection, queue: &Queue) -> Result<(), Error> {
    let settings = &queue.settings;
    connection.execute(
        "UPDATE queues SET state = ?1, rate_per_minute = ?2, capacity = ?3,
            claim_window_seconds = ?4, return_seconds = ?5, session_seconds = ?6, revision = ?7
         WHERE id = ?8",
        params![
            settings.state.as_str(),
            settings.rate_per_minute,
            settings.capacity,
            settings.claim_window_seconds,
            settings.return_seconds,
            settings.session_seconds,
            signed(queue.revision),
            queue.id.as_str(),
        ],
    )?;
    Ok(())
}

pub(super) fn insert_limits(
    connection: &Connection,
    queue: &Queue,
    at: Timestamp,
) -> Result<(), Error> {
    let settings = &queue.settings;
    connection.execute(
        "INSERT INTO queue_limits (queue_id, revision, at, state, rate_per_minute, capacity,
            claim_window_seconds, return_seconds, session_seconds)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            queue.id.as_str(),
            signed(queue.revision),
            at.millis(),
            settings.state.as_str(),
            settings.rate_per_minute,
            settings.capacity,
            settings.claim_window_seconds,
            settings.return_seconds,
            settings.session_seconds,
        ],
    )?;
    Ok(())
}
