//! Claims on places and the seats counted against each account's cap.
use crate::Connection;
use ledger::books::Claims;
use ledger::purchase::{ClaimsSnapshot, Opened, Purchase, seats_key};
use ledger::{BookingId, EventId, PlaceBooking, Timestamp};
use ledger_sql::{claim_change, narrow, parsed, signed};
use rusqlite::Error;

/// What the record says of everything that `commands` want.
pub(super) fn snapshot(
    connection: &Connection,
    commands: &[&PlaceBooking],
) -> Result<ClaimsSnapshot, Error> {
    let mut snapshot = ClaimsSnapshot::default();
    for command in commands {
        for item in &command.items {
            let owner = connection.optional(
                "SELECT booking_id FROM claims
                 WHERE event_id = ?1 AND place = ?2 AND released_at IS NULL",
                (command.event_id.as_str(), item.item.as_str()),
                |row| parsed(row, "booking_id", BookingId::parse),
            )?;
            let place = (command.event_id.clone(), item.item.clone());
            snapshot.owners.extend(owner.map(|owner| (place, owner)));
        }
        let seats = connection.optional(
            "SELECT seats FROM account_seats WHERE event_id = ?1 AND account_id = ?2",
            (command.event_id.as_str(), command.account_id.as_str()),
            |row| narrow(row, "seats"),
        )?;
        snapshot.seats.extend(seats.map(|seats| (seats_key(command), seats)));
    }
    Ok(snapshot)
}

/// Claims the places of a batch and counts them. The unique index refuses the whole transaction
/// should a live claim have been overlooked.
pub(super) fn insert(connection: &Connection, opened: &Opened) -> Result<(), Error> {
    let mut claims = opened.claims().peekable();
    if claims.peek().is_none() {
        return Ok(());
    }
    let revision = next_revision(connection)?;
    for (place, command) in claims {
        let (event, account) = (command.event_id.as_str(), command.account_id.as_str());
        connection.execute(
            "INSERT INTO claims (event_id, place, booking_id, account_id, state, revision)
             VALUES (?1, ?2, ?3, ?4, 'paying', ?5)",
            (event, place.as_str(), command.booking_id.as_str(), account, revision),
        )?;
        connection.execute(
            "INSERT INTO account_seats (event_id, account_id, seats) VALUES (?1, ?2, 1)
             ON CONFLICT DO UPDATE SET seats = seats + 1",
            (event, account),
        )?;
    }
    Ok(())
}

/// The claims of these purchases become sales.
pub(super) fn sell(connection: &Connection, purchases: &[&Purchase]) -> Result<(), Error> {
    if purchases.is_empty() {
        return Ok(());
    }
    let revision = next_revision(connection)?;
    for purchase in purchases {
        connection.execute(
            "UPDATE claims SET state = 'sold', revision = ?2
             WHERE booking_id = ?1 AND released_at IS NULL",
            (purchase.command.booking_id.as_str(), revision),
        )?;
    }
    Ok(())
}

/// The live claims of these purchases end, and their accounts may have other seats instead.
pub(super) fn release(
    connection: &Connection,
    purchases: &[&Purchase],
    now: Timestamp,
) -> Result<(), Error> {
    if purchases.is_empty() {
        return Ok(());
    }
    let revision = next_revision(connection)?;
    for Purchase { command, .. } in purchases {
        let released = connection.execute(
            "UPDATE claims SET released_at = ?2, revision = ?3
             WHERE booking_id = ?1 AND released_at IS NULL",
            (command.booking_id.as_str(), now.millis(), revision),
        )?;
        connection.execute(
            "UPDATE account_seats SET seats = seats - ?3 WHERE event_id = ?1 AND account_id = ?2",
            (command.event_id.as_str(), command.account_id.as_str(), released as i64),
        )?;
    }
    Ok(())
}

/// What changed after `revision`, in one look.
pub(super) fn changed(
    connection: &Connection,
    event: &EventId,
    revision: u64,
) -> Result<Claims, Error> {
    connection.snapshot(|connection| {
        let sql = "SELECT coalesce(max(revision), 0) FROM claims WHERE event_id = ?1";
        let newest = connection.number(sql, [event.as_str()])?;
        let rows = connection.all(
            "SELECT place, account_id, booking_id, state, released_at IS NULL AS live FROM claims
             WHERE event_id = ?1 AND revision > ?2 AND (?2 > 0 OR released_at IS NULL)",
            (event.as_str(), signed(revision)),
            claim_change,
        )?;
        Ok(ledger_sql::changes(rows, u64::try_from(newest).unwrap_or(0)))
    })
}

fn next_revision(connection: &Connection) -> Result<i64, Error> {
    connection.number("UPDATE claim_revision SET value = value + 1 RETURNING value", ())
}
