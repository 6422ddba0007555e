//! Tickets: issued with the sale, void with its cancel, used once at the gate.
use crate::Connection;
use ledger::books::{Scan, ScanResult};
use ledger::purchase::Purchase;
use ledger::ticket::{Ticket, TicketState};
use ledger::{BookingId, PlaceId, TicketId, Timestamp};
use rusqlite::{Error, params};
use std::collections::HashSet;

pub(super) fn ticket(connection: &Connection, id: &TicketId) -> Result<Option<Ticket>, Error> {
    connection.optional("SELECT * FROM tickets WHERE id = ?1", [id.as_str()], ledger_sql::ticket)
}

/// Uses the ticket if it is still valid: a cancel may have been faster.
pub(super) fn scan(
    connection: &Connection,
    scan: &Scan,
    now: Timestamp,
) -> Result<Option<ScanResult>, Error> {
    let used = connection.optional(
        "UPDATE tickets SET state = 'used', used_at = ?3
         WHERE id = ?1 AND issue = ?2 AND state = 'valid' RETURNING *",
        (scan.ticket_id.as_str(), scan.issue, now.millis()),
        ledger_sql::ticket,
    )?;
    if let Some(ticket) = used {
        return Ok(Some(ScanResult { state: TicketState::Valid, ticket }));
    }
    let found = connection.optional(
        "SELECT * FROM tickets WHERE id = ?1 AND issue = ?2",
        (scan.ticket_id.as_str(), scan.issue),
        ledger_sql::ticket,
    )?;
    Ok(found.map(|ticket| ScanResult { state: ticket.state, ticket }))
}

/// Issues the tickets of purchases just confirmed.
pub(super) fn issue(connection: &Connection, sold: &[&Purchase]) -> Result<(), Error> {
    for (id, booking, event, account, item, seat, label) in ledger_sql::new_tickets(sold) {
        connection.execute(
            "INSERT INTO tickets
                 (id, booking_id, event_id, account_id, item, seat, label, issue, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, 'valid')",
            params![
                id.as_str(),
                booking.as_str(),
                event.as_str(),
                account.as_str(),
                item.as_str(),
                seat.map(PlaceId::as_str),
                label,
            ],
        )?;
    }
    Ok(())
}

/// Voids what is left of the tickets of these purchases.
pub(super) fn void(connection: &Connection, purchases: &[&Purchase]) -> Result<(), Error> {
    for purchase in purchases {
        connection.execute(
            "UPDATE tickets SET state = 'void' WHERE booking_id = ?1 AND state = 'valid'",
            [purchase.command.booking_id.as_str()],
        )?;
    }
    Ok(())
}

/// Which of these bookings have a ticket that was used.
pub(super) fn used(
    connection: &Connection,
    bookings: &[&BookingId],
) -> Result<HashSet<String>, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM tickets WHERE booking_id = ?1 AND state = 'used')";
    let mut used = HashSet::new();
    for booking in bookings {
        if connection.number(sql, [booking.as_str()])? == 1 {
            used.insert(booking.to_string());
        }
    }
    Ok(used)
}
