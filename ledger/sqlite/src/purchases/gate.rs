//! Tickets: issued with the sale, void with its cancel, used once at the gate.
use crate::row::json;
use ledger::books::{Scan, ScanResult, TicketAction, TicketUse, Unscan};
use ledger::purchase::Purchase;
use ledger::ticket::{Ticket, TicketState};
use ledger::{BookingId, TicketId, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, SqliteConnection, SqlitePool};
use std::collections::HashSet;

pub(super) async fn ticket(readers: &SqlitePool, id: &TicketId) -> Result<Option<Ticket>, Error> {
    sqlx::query("SELECT * FROM tickets WHERE id = ?1")
        .bind(id.as_str())
        .try_map(|row: SqliteRow| Ok(ledger_sql::ticket(&row)?))
        .fetch_optional(readers)
        .await
}

/// Uses the ticket if it is still valid: a cancel may have been faster.
pub(super) async fn scan(
    connection: &mut SqliteConnection,
    scan: &Scan,
    now: Timestamp,
) -> Result<Option<ScanResult>, Error> {
    let used = sqlx::query(
        "UPDATE tickets SET state = 'used', used_at = ?3 \
         WHERE id = ?1 AND issue = ?2 AND state = 'valid' RETURNING *",
    )
    .bind(scan.ticket_id.as_str())
    .bind(scan.issue)
    .bind(now.millis())
    .try_map(|row: SqliteRow| Ok(ledger_sql::ticket(&row)?))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(ticket) = used {
        let entry = TicketUse {
            action: TicketAction::Scan,
            at: now,
            by: scan.by.clone(),
            gate: scan.gate.clone(),
            reason: None,
        };
        note(connection, &ticket.id, &entry).await?;
        return Ok(Some(ScanResult { state: TicketState::Valid, ticket }));
    }
    let found = sqlx::query("SELECT * FROM tickets WHERE id = ?1 AND issue = ?2")
        .bind(scan.ticket_id.as_str())
        .bind(scan.issue)
        .try_map(|row: SqliteRow| Ok(ledger_sql::ticket(&row)?))
        .fetch_optional(connection)
        .await?;
    Ok(found.map(|ticket| ScanResult { state: ticket.state, ticket }))
}

/// Makes the ticket valid again if it was used.
pub(super) async fn unscan(
    connection: &mut SqliteConnection,
    unscan: &Unscan,
    now: Timestamp,
) -> Result<Option<ScanResult>, Error> {
    let restored = sqlx::query(
        "UPDATE tickets SET state = 'valid', used_at = NULL \
         WHERE id = ?1 AND state = 'used' RETURNING *",
    )
    .bind(unscan.ticket_id.as_str())
    .try_map(|row: SqliteRow| Ok(ledger_sql::ticket(&row)?))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(ticket) = restored {
        let entry = TicketUse {
            action: TicketAction::Unscan,
            at: now,
            by: unscan.by.clone(),
            gate: None,
            reason: Some(unscan.reason.clone()),
        };
        note(connection, &ticket.id, &entry).await?;
        return Ok(Some(ScanResult { state: TicketState::Used, ticket }));
    }
    let found = sqlx::query("SELECT * FROM tickets WHERE id = ?1")
        .bind(unscan.ticket_id.as_str())
        .try_map(|row: SqliteRow| Ok(ledger_sql::ticket(&row)?))
        .fetch_optional(connection)
        .await?;
    Ok(found.map(|ticket| ScanResult { state: ticket.state, ticket }))
}

async fn note(
    connection: &mut SqliteConnection,
    ticket: &TicketId,
    entry: &TicketUse,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO ticket_uses (ticket_id, action, at, by_account, gate, reason) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(ticket.as_str())
    .bind(entry.action.as_str())
    .bind(entry.at.millis())
    .bind(entry.by.as_str())
    .bind(entry.gate.as_deref())
    .bind(entry.reason.as_deref())
    .execute(connection)
    .await?;
    Ok(())
}

/// What was done with the ticket, oldest first.
pub(super) async fn trail(readers: &SqlitePool, id: &TicketId) -> Result<Vec<TicketUse>, Error> {
    sqlx::query("SELECT * FROM ticket_uses WHERE ticket_id = ?1 ORDER BY seq")
        .bind(id.as_str())
        .try_map(|row: SqliteRow| Ok(ledger_sql::ticket_use(&row)?))
        .fetch_all(readers)
        .await
}

/// Issues the tickets of purchases just confirmed.
pub(super) async fn issue(
    connection: &mut SqliteConnection,
    sold: &[&Purchase],
) -> Result<(), Error> {
    let rows = ledger_sql::new_tickets(sold);
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO tickets \
           (id, booking_id, event_id, account_id, item, seat, label, issue, state) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
           value ->> 6, 1, 'valid' FROM json_each(?1)",
    )
    .bind(json(&rows)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Voids what is left of the tickets of these bookings.
pub(super) async fn void(
    connection: &mut SqliteConnection,
    bookings: &[&BookingId],
) -> Result<(), Error> {
    if bookings.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE tickets SET state = 'void' \
         WHERE booking_id IN (SELECT value FROM json_each(?1)) AND state = 'valid'",
    )
    .bind(json(&bookings)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Which of these bookings have a ticket that was used.
pub(super) async fn used(
    connection: &mut SqliteConnection,
    bookings: &[&BookingId],
) -> Result<HashSet<String>, Error> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT booking_id FROM tickets \
         WHERE booking_id IN (SELECT value FROM json_each(?1)) AND state = 'used'",
    )
    .bind(json(&bookings)?)
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}
