//! Tickets: issued with the sale, void with its cancel, used once at the gate.
use crate::fault::Fault;
use ledger::books::{Scan, ScanResult, TicketAction, TicketUse, Unscan};
use ledger::purchase::Purchase;
use ledger::ticket::{Ticket, TicketState};
use ledger::{PlaceId, TicketId, Timestamp};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use std::collections::HashSet;

pub(super) async fn ticket(
    connection: &mut PgConnection,
    id: &TicketId,
) -> Result<Option<Ticket>, Fault> {
    let found = sqlx::query("SELECT * FROM tickets WHERE id = $1")
        .bind(id.as_str())
        .try_map(|row: PgRow| Ok(ledger_sql::ticket(&row)?))
        .fetch_optional(connection);
    Ok(found.await?)
}

/// Uses the ticket if it is still valid: a cancel may have been faster.
pub(super) async fn scan(
    connection: &mut PgConnection,
    scan: &Scan,
    now: Timestamp,
) -> Result<Option<ScanResult>, Fault> {
    let used = sqlx::query(
        "UPDATE tickets SET state = 'used', used_at = $3
         WHERE id = $1 AND issue = $2 AND state = 'valid' RETURNING *",
    )
    .bind(scan.ticket_id.as_str())
    .bind(i64::from(scan.issue))
    .bind(now.millis())
    .try_map(|row: PgRow| Ok(ledger_sql::ticket(&row)?))
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
    let found = ticket(connection, &scan.ticket_id).await?;
    let in_force = found.filter(|ticket| ticket.issue == scan.issue);
    Ok(in_force.map(|ticket| ScanResult { state: ticket.state, ticket }))
}

/// Makes the ticket valid again if it was used.
pub(super) async fn unscan(
    connection: &mut PgConnection,
    unscan: &Unscan,
    now: Timestamp,
) -> Result<Option<ScanResult>, Fault> {
    let restored = sqlx::query(
        "UPDATE tickets SET state = 'valid', used_at = NULL
         WHERE id = $1 AND state = 'used' RETURNING *",
    )
    .bind(unscan.ticket_id.as_str())
    .try_map(|row: PgRow| Ok(ledger_sql::ticket(&row)?))
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
    let found = ticket(connection, &unscan.ticket_id).await?;
    Ok(found.map(|ticket| ScanResult { state: ticket.state, ticket }))
}

async fn note(
    connection: &mut PgConnection,
    ticket: &TicketId,
    entry: &TicketUse,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO ticket_uses (ticket_id, action, at, by_account, gate, reason)
         VALUES ($1, $2, $3, $4, $5, $6)",
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
pub(super) async fn trail(
    connection: &mut PgConnection,
    id: &TicketId,
) -> Result<Vec<TicketUse>, Fault> {
    let uses = sqlx::query("SELECT * FROM ticket_uses WHERE ticket_id = $1 ORDER BY position")
        .bind(id.as_str())
        .try_map(|row: PgRow| Ok(ledger_sql::ticket_use(&row)?))
        .fetch_all(connection);
    Ok(uses.await?)
}

/// Issues the tickets of purchases just confirmed.
pub(super) async fn issue(connection: &mut PgConnection, sold: &[&Purchase]) -> Result<(), Fault> {
    let new = ledger_sql::new_tickets(sold);
    if new.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO tickets (id, booking_id, event_id, account_id, item, seat, label, issue, state)
         SELECT id, booking_id, event_id, account_id, item, seat, label, 1, 'valid'
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                 $7::text[]) AS t (id, booking_id, event_id, account_id, item, seat, label)",
    )
    .bind(new.iter().map(|ticket| ticket.0.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|ticket| ticket.1.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|ticket| ticket.2.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|ticket| ticket.3.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|ticket| ticket.4.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|ticket| ticket.5.map(PlaceId::as_str)).collect::<Vec<_>>())
    .bind(new.iter().map(|ticket| ticket.6).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Voids what is left of the tickets of these purchases, which nobody else changes: the purchases
/// are locked, and a gate that was faster was waited for by [`used`].
pub(super) async fn void(
    connection: &mut PgConnection,
    purchases: &[&Purchase],
) -> Result<(), Fault> {
    let ids = ids_of(purchases.iter().copied());
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE tickets SET state = 'void' WHERE id = ANY($1) AND state = 'valid'")
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// Which of these purchases have a ticket that was used. From here on no gate uses another.
pub(super) async fn used<'a>(
    connection: &mut PgConnection,
    purchases: impl Iterator<Item = &'a Purchase>,
) -> Result<HashSet<String>, Fault> {
    let ids = ids_of(purchases);
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    // Every ticket is asked for: of one that a gate is using at this moment, the state is known
    // only once its row is locked.
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT booking_id, state FROM tickets WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let used = found.into_iter().filter(|(_, state)| state == TicketState::Used.as_str());
    Ok(used.map(|(booking, _)| booking).collect())
}

fn ids_of<'a>(purchases: impl Iterator<Item = &'a Purchase>) -> Vec<&'a str> {
    purchases.flat_map(|p| p.tickets.iter().map(|ticket| ticket.ticket_id.as_str())).collect()
}
