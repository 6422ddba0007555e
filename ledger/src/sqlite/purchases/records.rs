//! Purchase rows: reading them, adding new ones, and writing what a step changed.
use crate::booking::{BookingCommand, BookingStatus, PlaceBooking};
use crate::clock::Timestamp;
use crate::ids::BookingId;
use crate::log::{Message, Topic};
use crate::message::COMMAND_TYPE;
use crate::page::{Cursor, LIMIT_MAX, Page};
use crate::purchase::{PaymentState, Purchase};
use crate::sqlite::row::{count, json, known, time, time_maybe, undecodable};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row, SqliteConnection, SqlitePool};
use std::collections::HashMap;

/// A purchase and when the gateway is to be asked next.
pub(super) type Entry<'a> = (&'a Purchase, Option<Timestamp>);

pub(super) async fn one(readers: &SqlitePool, id: &BookingId) -> Result<Option<Purchase>, Error> {
    sqlx::query("SELECT * FROM purchases WHERE id = ?1")
        .bind(id.as_str())
        .try_map(|row| decode(&row))
        .fetch_optional(readers)
        .await
}

pub(super) async fn page(readers: &SqlitePool, cursor: Cursor) -> Result<Page<Purchase>, Error> {
    let limit = cursor.limit.clamp(1, LIMIT_MAX);
    let found = sqlx::query("SELECT * FROM purchases WHERE id > ?1 ORDER BY id LIMIT ?2")
        .bind(cursor.after.unwrap_or_default())
        .bind(i64::from(limit).saturating_add(1))
        .try_map(|row| decode(&row))
        .fetch_all(readers)
        .await?;
    Ok(Page::cut(found, limit, |last: &Purchase| last.command.booking_id.to_string()))
}

/// The purchases of these ids that exist, under the writer's lock.
pub(super) async fn read<'a>(
    connection: &mut SqliteConnection,
    ids: impl Iterator<Item = &'a BookingId>,
) -> Result<HashMap<BookingId, Purchase>, Error> {
    let ids: Vec<_> = ids.collect();
    let found: Vec<Purchase> =
        sqlx::query("SELECT * FROM purchases WHERE id IN (SELECT value FROM json_each(?1))")
            .bind(json(&ids)?)
            .try_map(|row| decode(&row))
            .fetch_all(connection)
            .await?;
    Ok(found.into_iter().map(|p| (p.command.booking_id.clone(), p)).collect())
}

/// Adds records that are new.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    entries: &[Entry<'_>],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|(p, next_try)| {
            let command = &p.command;
            let ids = (&command.booking_id, &command.event_id, &command.account_id);
            Ok((ids, encode(command)?, changing(p, *next_try)?))
        })
        .collect::<Result<_, Error>>()?;
    sqlx::query(
        "INSERT INTO purchases (id, event_id, account_id, command, payment, status, failure_code, \
           charge_id, cancel_requested, tickets, refunds, version, submitted_at, updated_at, \
           next_try_at, published_version) \
         SELECT value ->> '$[0][0]', value ->> '$[0][1]', value ->> '$[0][2]', \
           value ->> '$[1]', value ->> '$[2][0]', value ->> '$[2][1]', value ->> '$[2][2]', \
           value ->> '$[2][3]', value ->> '$[2][4]', value ->> '$[2][5]', value ->> '$[2][6]', \
           value ->> '$[2][7]', value ->> '$[2][8]', value ->> '$[2][9]', value ->> '$[2][10]', 1 \
         FROM json_each(?1)",
    )
    .bind(json(&rows)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what may change in records that exist; what the booking is about never does.
pub(super) async fn update(
    connection: &mut SqliteConnection,
    entries: &[Entry<'_>],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = entries
        .iter()
        .map(|(p, next_try)| Ok((&p.command.booking_id, changing(p, *next_try)?)))
        .collect::<Result<_, Error>>()?;
    sqlx::query(
        "UPDATE purchases SET payment = value ->> '$[1][0]', status = value ->> '$[1][1]', \
           failure_code = value ->> '$[1][2]', charge_id = value ->> '$[1][3]', \
           cancel_requested = value ->> '$[1][4]', tickets = value ->> '$[1][5]', \
           refunds = value ->> '$[1][6]', version = value ->> '$[1][7]', \
           submitted_at = value ->> '$[1][8]', updated_at = value ->> '$[1][9]', \
           next_try_at = value ->> '$[1][10]' \
         FROM json_each(?1) WHERE purchases.id = value ->> '$[0]'",
    )
    .bind(json(&rows)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns that a step may change, in the order of the statements above.
type Changing<'a> = (
    &'static str,
    &'static str,
    Option<&'a str>,
    Option<&'a str>,
    u8,
    String,
    String,
    u32,
    Option<Timestamp>,
    Timestamp,
    Option<Timestamp>,
);

fn changing(p: &Purchase, next_try: Option<Timestamp>) -> Result<Changing<'_>, Error> {
    Ok((
        p.payment.as_str(),
        p.status.as_str(),
        p.failure_code.as_deref(),
        p.charge_id.as_deref(),
        u8::from(p.cancel_requested),
        json(&p.tickets)?,
        json(&p.refunds)?,
        p.version,
        p.submitted_at,
        p.updated_at,
        next_try,
    ))
}

/// The command as it stands on the log, so that one golden file guards both.
fn encode(command: &PlaceBooking) -> Result<String, Error> {
    let value = Message::Command(BookingCommand::Place(command.clone())).encode();
    String::from_utf8(value).map_err(|error| Error::Encode(Box::new(error)))
}

pub(super) fn decode(row: &SqliteRow) -> Result<Purchase, Error> {
    let version = count(row, "version")?;
    Ok(Purchase {
        command: command_of(row)?,
        payment: known(row, "payment", PaymentState::parse)?,
        status: known(row, "status", BookingStatus::parse)?,
        failure_code: row.try_get("failure_code")?,
        charge_id: row.try_get("charge_id")?,
        cancel_requested: row.try_get("cancel_requested")?,
        tickets: from_json(row, "tickets")?,
        refunds: from_json(row, "refunds")?,
        version: u32::try_from(version).map_err(|_| undecodable("version", version))?,
        submitted_at: time_maybe(row, "submitted_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

fn command_of(row: &SqliteRow) -> Result<PlaceBooking, Error> {
    let text: &str = row.try_get("command")?;
    match Message::decode(Topic::Bookings, COMMAND_TYPE, text.as_bytes()) {
        Ok(Message::Command(BookingCommand::Place(command))) => Ok(command),
        // The text carries a payment token, so it must not end up in an error.
        Ok(Message::Command(BookingCommand::Cancel(_)) | Message::Outcome(_)) => {
            Err(undecodable("command", "another kind of message"))
        }
        Err(error) => Err(undecodable("command", error.to_string())),
    }
}

fn from_json<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, Error> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|_| undecodable(column, text))
}
