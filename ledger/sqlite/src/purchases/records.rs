//! Purchase rows: reading them, adding new ones, and writing what a step changed.
use crate::row::json;
use ledger::purchase::Entry;
use ledger::purchase::Purchase;
use ledger::{BookingId, Cursor, LIMIT_MAX, Page, Timestamp};
use ledger_sql::{command_text, purchase, purchase_and_try};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, SqliteConnection, SqlitePool};

pub(super) async fn one(readers: &SqlitePool, id: &BookingId) -> Result<Option<Purchase>, Error> {
    sqlx::query("SELECT * FROM purchases WHERE id = ?1")
        .bind(id.as_str())
        .try_map(|row: SqliteRow| Ok(purchase(&row)?))
        .fetch_optional(readers)
        .await
}

pub(super) async fn page(readers: &SqlitePool, cursor: Cursor) -> Result<Page<Purchase>, Error> {
    let limit = cursor.limit.clamp(1, LIMIT_MAX);
    let found = sqlx::query("SELECT * FROM purchases WHERE id > ?1 ORDER BY id LIMIT ?2")
        .bind(cursor.after.unwrap_or_default())
        .bind(i64::from(limit).saturating_add(1))
        .try_map(|row: SqliteRow| Ok(purchase(&row)?))
        .fetch_all(readers)
        .await?;
    Ok(Page::cut(found, limit, |last: &Purchase| last.command.booking_id.to_string()))
}

/// The purchases of these ids that exist, under the writer's lock, and when the gateway was to be
/// asked about each.
pub(super) async fn read<'a>(
    connection: &mut SqliteConnection,
    ids: impl Iterator<Item = &'a BookingId>,
) -> Result<Vec<(Purchase, Option<Timestamp>)>, Error> {
    let ids: Vec<_> = ids.collect();
    sqlx::query("SELECT * FROM purchases WHERE id IN (SELECT value FROM json_each(?1))")
        .bind(json(&ids)?)
        .try_map(|row: SqliteRow| Ok(purchase_and_try(&row)?))
        .fetch_all(connection)
        .await
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
            Ok((ids, command_text(command)?, changing(p, *next_try)?))
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
