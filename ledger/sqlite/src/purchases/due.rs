//! What the reconciler takes up: charges and refunds whose next try is due, and the outbox.
use crate::row::json;
use ledger::books::DueWork;
use ledger::purchase::Purchase;
use ledger::{BookingId, BookingOutcome, Timestamp};
use ledger_sql::purchase;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, SqliteConnection, SqlitePool};

pub(super) async fn any(readers: &SqlitePool, now: Timestamp) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM purchases WHERE next_try_at <= ?1)")
        .bind(now.millis())
        .fetch_one(readers)
        .await
}

/// Leases due work, the longest due first, by moving its next try.
pub(super) async fn lease(
    connection: &mut SqliteConnection,
    now: Timestamp,
    next_try: Timestamp,
    limit: u32,
) -> Result<Vec<DueWork>, Error> {
    let leased = sqlx::query(
        "UPDATE purchases SET next_try_at = ?2 WHERE id IN (SELECT id FROM purchases \
         WHERE next_try_at <= ?1 ORDER BY next_try_at LIMIT ?3) RETURNING *",
    )
    .bind(now.millis())
    .bind(next_try.millis())
    .bind(limit)
    .try_map(|row: SqliteRow| Ok(purchase(&row)?))
    .fetch_all(connection)
    .await?;
    Ok(leased.into_iter().filter_map(DueWork::of).collect())
}

pub(super) async fn unpublished(
    readers: &SqlitePool,
    limit: u32,
) -> Result<Vec<BookingOutcome>, Error> {
    let found = sqlx::query(
        "SELECT * FROM purchases WHERE published_version < version ORDER BY updated_at LIMIT ?1",
    )
    .bind(limit)
    .try_map(|row: SqliteRow| Ok(purchase(&row)?))
    .fetch_all(readers)
    .await?;
    Ok(found.iter().map(Purchase::outcome).collect())
}

pub(super) async fn published(
    connection: &mut SqliteConnection,
    outcomes: &[(BookingId, u32)],
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE purchases SET published_version = max(published_version, said.version) \
         FROM (SELECT value ->> 0 AS booking_id, max(value ->> 1) AS version \
           FROM json_each(?1) GROUP BY 1) AS said \
         WHERE purchases.id = said.booking_id",
    )
    .bind(json(&outcomes)?)
    .execute(connection)
    .await?;
    Ok(())
}
