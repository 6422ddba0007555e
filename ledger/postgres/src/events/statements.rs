//! Statements about events and queues.
use super::super::fault::Fault;
use ledger::books::{EventCreated, Patched, Raised};
use ledger::{Event, EventId, Queue, QueueId, QueuePatch, QueueSettings, Timestamp};
use ledger_sql::{EventRow, count, signed};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

pub(super) async fn find(
    connection: &mut PgConnection,
    id: &EventId,
) -> Result<Option<EventRow>, Fault> {
    let found = sqlx::query(
        "SELECT id, name, date, timezone, venue, on_sale_at, queue_id, hold_ttl_seconds,
             payment_deadline_seconds, seats_per_account_max, layout_version, created_at
         FROM events WHERE id = $1",
    )
    .bind(id.as_str())
    .try_map(|row: PgRow| Ok(EventRow::read(&row)?))
    .fetch_optional(connection);
    Ok(found.await?)
}

/// `None` when another event has the id. The same event again is a call whose reply was lost.
pub(super) async fn create(
    connection: &mut PgConnection,
    event: &Event,
    layout: &str,
    queue: Option<QueueSettings>,
) -> Result<Option<EventCreated>, Fault> {
    if let Some(existing) = find(connection, &event.id).await? {
        let same = existing.event(event.layout.clone()) == *event;
        return Ok(same.then_some(EventCreated::Created));
    }
    // A queue that exists keeps its own settings.
    let there = match queue {
        Some(settings) => insert_queue(connection, event, settings).await?,
        None => {
            let found = sqlx::query("SELECT 1 FROM queues WHERE id = $1")
                .bind(event.queue_id.as_str())
                .fetch_optional(&mut *connection);
            found.await?.is_some()
        }
    };
    if !there {
        return Ok(Some(EventCreated::NoSuchQueue));
    }
    if insert_event(connection, event, layout).await? {
        Ok(Some(EventCreated::Created))
    } else {
        // Somebody made it since the look above: look again, with nothing of this left behind.
        Err(Fault::Contended)
    }
}

/// False when the id was taken meanwhile.
async fn insert_event(
    connection: &mut PgConnection,
    event: &Event,
    layout: &str,
) -> Result<bool, Fault> {
    let done = sqlx::query(
        "INSERT INTO events (id, name, date, timezone, venue, on_sale_at, queue_id,
             hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max, layout_version,
             created_at, layout)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(event.id.as_str())
    .bind(&event.name)
    .bind(&event.date)
    .bind(&event.timezone)
    .bind(&event.venue)
    .bind(event.on_sale_at.millis())
    .bind(event.queue_id.as_str())
    .bind(i64::from(event.terms.hold_ttl_seconds))
    .bind(i64::from(event.terms.payment_deadline_seconds))
    .bind(i64::from(event.terms.seats_per_account_max))
    .bind(i64::from(event.layout_version))
    .bind(event.created_at.millis())
    .bind(layout)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Adds the queue of a new event, opening when the event goes on sale, unless it exists. True:
/// there is one now.
async fn insert_queue(
    connection: &mut PgConnection,
    event: &Event,
    settings: QueueSettings,
) -> Result<bool, Fault> {
    let opens_at = event.on_sale_at;
    let queue = Queue { id: event.queue_id.clone(), settings, opens_at, revision: 1 };
    let insert = sqlx::query(
        "INSERT INTO queues (id, revision, opens_at, state, rate_per_minute, capacity,
             claim_window_seconds, return_seconds, session_seconds)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING",
    );
    let insert = insert.bind(queue.id.as_str()).bind(1_i64).bind(opens_at.millis());
    let inserted = bind_settings(insert, settings).execute(&mut *connection).await?;
    if inserted.rows_affected() > 0 {
        for progress in [
            "INSERT INTO queue_generations (queue_id) VALUES ($1)",
            "INSERT INTO queue_leases (queue_id) VALUES ($1)",
            "INSERT INTO queue_serving (queue_id) VALUES ($1)",
        ] {
            sqlx::query(progress).bind(queue.id.as_str()).execute(&mut *connection).await?;
        }
        insert_limits(connection, &queue, event.created_at).await?;
    }
    Ok(true)
}

pub(super) async fn patch_queue(
    connection: &mut PgConnection,
    id: &QueueId,
    from: u64,
    patch: QueuePatch,
    now: Timestamp,
) -> Result<Patched, Fault> {
    let found = sqlx::query("SELECT * FROM queues WHERE id = $1 FOR NO KEY UPDATE")
        .bind(id.as_str())
        .try_map(|row: PgRow| Ok(ledger_sql::queue(&row)?))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(old) = found else { return Ok(Patched::NoSuchQueue) };
    if old.revision != from {
        return Ok(Patched::Stale);
    }
    let settings = patch.applied_to(old.settings);
    let queue = Queue { settings, revision: old.revision.saturating_add(1), ..old };
    let update = sqlx::query(
        "UPDATE queues SET revision = $2, state = $3, rate_per_minute = $4, capacity = $5,
             claim_window_seconds = $6, return_seconds = $7, session_seconds = $8
         WHERE id = $1",
    );
    let update = update.bind(queue.id.as_str()).bind(signed(queue.revision));
    bind_settings(update, settings).execute(&mut *connection).await?;
    insert_limits(connection, &queue, now).await?;
    Ok(Patched::Done(queue))
}

async fn insert_limits(
    connection: &mut PgConnection,
    queue: &Queue,
    at: Timestamp,
) -> Result<(), Fault> {
    let insert = sqlx::query(
        "INSERT INTO queue_limits (queue_id, revision, at, state, rate_per_minute, capacity,
             claim_window_seconds, return_seconds, session_seconds)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    let insert = insert.bind(queue.id.as_str()).bind(signed(queue.revision)).bind(at.millis());
    bind_settings(insert, queue.settings).execute(connection).await?;
    Ok(())
}

/// The settings, in the order in which every statement here names them last.
fn bind_settings<'q>(
    query: Query<'q, Postgres, PgArguments>,
    settings: QueueSettings,
) -> Query<'q, Postgres, PgArguments> {
    query
        .bind(settings.state.as_str())
        .bind(i64::from(settings.rate_per_minute))
        .bind(i64::from(settings.capacity))
        .bind(i64::from(settings.claim_window_seconds))
        .bind(i64::from(settings.return_seconds))
        .bind(i64::from(settings.session_seconds))
}

pub(super) async fn seat_generation(
    connection: &mut PgConnection,
    id: &EventId,
) -> Result<Option<u64>, Fault> {
    let found = sqlx::query("SELECT seat_generation FROM events WHERE id = $1")
        .bind(id.as_str())
        .try_map(|row: PgRow| Ok(count(&row, "seat_generation")?))
        .fetch_optional(connection);
    Ok(found.await?)
}

pub(super) async fn raise(
    connection: &mut PgConnection,
    id: &EventId,
    from: u64,
) -> Result<Option<Raised>, Fault> {
    let raised = sqlx::query(
        "UPDATE events SET seat_generation = seat_generation + 1
         WHERE id = $1 AND seat_generation = $2 RETURNING seat_generation",
    )
    .bind(id.as_str())
    .bind(signed(from))
    .try_map(|row: PgRow| Ok(count(&row, "seat_generation")?))
    .fetch_optional(&mut *connection)
    .await?;
    match raised {
        Some(generation) => Ok(Some(Raised::Won(generation))),
        None => Ok(seat_generation(connection, id).await?.map(Raised::Lost)),
    }
}
