//! What the reconciler takes up: charges and refunds whose next try is due, and the outbox.
use crate::Connection;
use ledger::books::DueWork;
use ledger::purchase::Purchase;
use ledger::{BookingId, BookingOutcome, Timestamp};
use ledger_sql::purchase;
use rusqlite::Error;

pub(super) fn any(connection: &Connection, now: Timestamp) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM purchases WHERE next_try_at <= ?1)";
    Ok(connection.number(sql, [now.millis()])? == 1)
}

/// Leases due work, the longest due first, by moving its next try.
pub(super) fn lease(
    connection: &Connection,
    now: Timestamp,
    next_try: Timestamp,
    limit: u32,
) -> Result<Vec<DueWork>, Error> {
    let leased = connection.all(
        "UPDATE purchases SET next_try_at = ?2 WHERE id IN (SELECT id FROM purchases
             WHERE next_try_at <= ?1 ORDER BY next_try_at LIMIT ?3) RETURNING *",
        (now.millis(), next_try.millis(), limit),
        purchase,
    )?;
    Ok(leased.into_iter().filter_map(DueWork::of).collect())
}

pub(super) fn unpublished(
    connection: &Connection,
    limit: u32,
) -> Result<Vec<BookingOutcome>, Error> {
    let found = connection.all(
        "SELECT * FROM purchases WHERE published_version < version ORDER BY updated_at LIMIT ?1",
        [limit],
        purchase,
    )?;
    Ok(found.iter().map(Purchase::outcome).collect())
}

pub(super) fn published(
    connection: &Connection,
    outcomes: &[(BookingId, u32)],
) -> Result<(), Error> {
    for (booking, version) in outcomes {
        let sql = "UPDATE purchases SET published_version = max(published_version, ?2)
            WHERE id = ?1";
        connection.execute(sql, (booking.as_str(), version))?;
    }
    Ok(())
}
