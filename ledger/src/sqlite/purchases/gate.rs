//! Tickets: issued with the sale, void with its cancel, used once at the gate.
use crate::booking::BookingItem;
use crate::books::{Scan, ScanResult};
use crate::clock::Timestamp;
use crate::ids::{AccountId, BookingId, EventId, PlaceId, TicketId};
use crate::purchase::Purchase;
use crate::sqlite::row::{count, json, known, parsed, time_maybe, undecodable};
use crate::ticket::{Ticket, TicketState};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row, SqliteConnection, SqlitePool};
use std::collections::HashSet;

pub(super) async fn ticket(readers: &SqlitePool, id: &TicketId) -> Result<Option<Ticket>, Error> {
    sqlx::query("SELECT * FROM tickets WHERE id = ?1")
        .bind(id.as_str())
        .try_map(|row| decode(&row))
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
    .try_map(|row| decode(&row))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(ticket) = used {
        return Ok(Some(ScanResult { state: TicketState::Valid, ticket }));
    }
    let found = sqlx::query("SELECT * FROM tickets WHERE id = ?1 AND issue = ?2")
        .bind(scan.ticket_id.as_str())
        .bind(scan.issue)
        .try_map(|row| decode(&row))
        .fetch_optional(connection)
        .await?;
    Ok(found.map(|ticket| ScanResult { state: ticket.state, ticket }))
}

/// Issues the tickets of purchases just confirmed.
pub(super) async fn issue(
    connection: &mut SqliteConnection,
    sold: &[&Purchase],
) -> Result<(), Error> {
    let rows: Vec<_> = sold.iter().flat_map(|purchase| rows_of(purchase)).collect();
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

type TicketRow<'a> = (
    &'a TicketId,
    &'a BookingId,
    &'a EventId,
    &'a AccountId,
    &'a PlaceId,
    Option<&'a PlaceId>,
    &'a str,
);

fn rows_of(purchase: &Purchase) -> Vec<TicketRow<'_>> {
    let command = &purchase.command;
    let item_of =
        |place: &PlaceId| command.items.iter().find(|item: &&BookingItem| item.item == *place);
    purchase
        .tickets
        .iter()
        .filter_map(|ticket| {
            let item = item_of(&ticket.item)?;
            let ids = (&ticket.ticket_id, &command.booking_id);
            let owner = (&command.event_id, &command.account_id);
            let label = item.label.as_str();
            Some((ids.0, ids.1, owner.0, owner.1, &item.item, item.seat.as_ref(), label))
        })
        .collect()
}

pub(in crate::sqlite) fn decode(row: &SqliteRow) -> Result<Ticket, Error> {
    let issue = count(row, "issue")?;
    let seat: Option<&str> = row.try_get("seat")?;
    let seat = seat.map(PlaceId::parse).transpose().map_err(|_| undecodable("seat", "no id"))?;
    Ok(Ticket {
        id: parsed(row, "id", TicketId::parse)?,
        booking_id: parsed(row, "booking_id", BookingId::parse)?,
        event_id: parsed(row, "event_id", EventId::parse)?,
        account_id: parsed(row, "account_id", AccountId::parse)?,
        item: parsed(row, "item", PlaceId::parse)?,
        seat,
        label: row.try_get("label")?,
        issue: u32::try_from(issue).map_err(|_| undecodable("issue", issue))?,
        state: known(row, "state", TicketState::parse)?,
        used_at: time_maybe(row, "used_at")?,
    })
}
