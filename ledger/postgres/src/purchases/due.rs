//! What the reconciler takes up: charges and refunds whose next try is due, and the outbox.
use crate::fault::Fault;
use ledger::books::DueWork;
use ledger::purchase::Purchase;
use ledger::{BookingId, BookingOutcome, Timestamp};
use ledger_sql::purchase;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;

pub(super) async fn any(connection: &mut PgConnection, now: Timestamp) -> Result<bool, Fault> {
    let any = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM purchases WHERE next_try_at <= $1)")
        .bind(now.millis())
        .fetch_one(connection);
    Ok(any.await?)
}

/// Leases due work, the longest due first, by moving its next try. What another node has in hand
/// is passed over.
pub(super) async fn lease(
    connection: &mut PgConnection,
    now: Timestamp,
    next_try: Timestamp,
    limit: u32,
) -> Result<Vec<DueWork>, Fault> {
    let leased = sqlx::query(
        "WITH due AS MATERIALIZED (
             SELECT id FROM purchases WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $3
             FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE purchases p SET next_try_at = $2 FROM due WHERE p.id = due.id RETURNING p.*",
    )
    .bind(now.millis())
    .bind(next_try.millis())
    .bind(i64::from(limit))
    .try_map(|row: PgRow| Ok(purchase(&row)?))
    .fetch_all(connection)
    .await?;
    Ok(leased.into_iter().filter_map(DueWork::of).collect())
}

pub(super) async fn unpublished(
    connection: &mut PgConnection,
    limit: u32,
) -> Result<Vec<BookingOutcome>, Fault> {
    let found = sqlx::query(
        "SELECT * FROM purchases WHERE published_version < version ORDER BY updated_at LIMIT $1",
    )
    .bind(i64::from(limit))
    .try_map(|row: PgRow| Ok(purchase(&row)?))
    .fetch_all(connection)
    .await?;
    Ok(found.iter().map(Purchase::outcome).collect())
}

pub(super) async fn published(
    connection: &mut PgConnection,
    outcomes: &[(BookingId, u32)],
) -> Result<(), Fault> {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for (booking, version) in outcomes {
        let kept = newest.entry(booking.as_str()).or_default();
        *kept = (*kept).max(i64::from(*version));
    }
    // Locked by id before any is written, whatever order the update takes them in.
    sqlx::query(
        "WITH said AS MATERIALIZED (
             SELECT p.id, t.version FROM purchases p
                 JOIN unnest($1::text[], $2::bigint[]) AS t (id, version) ON t.id = p.id
             ORDER BY p.id FOR NO KEY UPDATE OF p)
         UPDATE purchases p SET published_version = greatest(p.published_version, said.version)
         FROM said WHERE p.id = said.id",
    )
    .bind(newest.keys().copied().collect::<Vec<_>>())
    .bind(newest.values().copied().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
