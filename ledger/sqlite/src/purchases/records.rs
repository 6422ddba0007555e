//! Purchase rows: reading them, adding new ones, and writing what a step changed.
use crate::Connection;
use ledger::purchase::{Entry, Purchase};
use ledger::{BookingId, Cursor, LIMIT_MAX, Page, Timestamp};
use ledger_sql::{command_text, json, purchase, purchase_and_try};
use rusqlite::{Error, params};

pub(super) fn one(connection: &Connection, id: &BookingId) -> Result<Option<Purchase>, Error> {
    connection.optional("SELECT * FROM purchases WHERE id = ?1", [id.as_str()], purchase)
}

pub(super) fn page(connection: &Connection, cursor: Cursor) -> Result<Page<Purchase>, Error> {
    let limit = cursor.limit.clamp(1, LIMIT_MAX);
    let found = connection.all(
        "SELECT * FROM purchases WHERE id > ?1 ORDER BY id LIMIT ?2",
        (cursor.after.unwrap_or_default(), i64::from(limit).saturating_add(1)),
        purchase,
    )?;
    Ok(Page::cut(found, limit, |last: &Purchase| last.command.booking_id.to_string()))
}

/// The purchases of these ids that exist, and when the gateway was to be asked about each.
pub(super) fn read<'a>(
    connection: &Connection,
    ids: impl Iterator<Item = &'a BookingId>,
) -> Result<Vec<(Purchase, Option<Timestamp>)>, Error> {
    let sql = "SELECT * FROM purchases WHERE id = ?1";
    let one = |id: &BookingId| connection.optional(sql, [id.as_str()], purchase_and_try);
    ids.filter_map(|id| one(id).transpose()).collect()
}

/// Adds a record that is new.
pub(super) fn insert(
    connection: &Connection,
    (purchase, next_try): Entry<'_>,
) -> Result<(), Error> {
    let command = &purchase.command;
    connection.execute(
        "INSERT INTO purchases (id, event_id, account_id, command, payment, status, failure_code,
             charge_id, cancel_requested, tickets, refunds, version, submitted_at, updated_at,
             next_try_at, published_version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 1)",
        params![
            command.booking_id.as_str(),
            command.event_id.as_str(),
            command.account_id.as_str(),
            command_text(command)?,
            purchase.payment.as_str(),
            purchase.status.as_str(),
            purchase.failure_code,
            purchase.charge_id,
            purchase.cancel_requested,
            json(&purchase.tickets)?,
            json(&purchase.refunds)?,
            purchase.version,
            purchase.submitted_at.map(Timestamp::millis),
            purchase.updated_at.millis(),
            next_try.map(Timestamp::millis),
        ],
    )?;
    Ok(())
}

/// Writes what may change in a record that exists; what the booking is about never does.
pub(super) fn update(
    connection: &Connection,
    (purchase, next_try): Entry<'_>,
) -> Result<(), Error> {
    connection.execute(
        "UPDATE purchases SET payment = ?2, status = ?3, failure_code = ?4, charge_id = ?5,
             cancel_requested = ?6, tickets = ?7, refunds = ?8, version = ?9, submitted_at = ?10,
             updated_at = ?11, next_try_at = ?12
         WHERE id = ?1",
        params![
            purchase.command.booking_id.as_str(),
            purchase.payment.as_str(),
            purchase.status.as_str(),
            purchase.failure_code,
            purchase.charge_id,
            purchase.cancel_requested,
            json(&purchase.tickets)?,
            json(&purchase.refunds)?,
            purchase.version,
            purchase.submitted_at.map(Timestamp::millis),
            purchase.updated_at.millis(),
            next_try.map(Timestamp::millis),
        ],
    )?;
    Ok(())
}
