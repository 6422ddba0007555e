//! Purchase rows: locking them, adding new ones, and writing what a step changed.
use crate::fault::Fault;
use ledger::purchase::Entry;
use ledger::purchase::Purchase;
use ledger::{BookingId, Timestamp};
use ledger_sql::{command_text, json, parsed, purchase, purchase_and_try};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use std::collections::HashSet;

pub(super) async fn one(
    connection: &mut PgConnection,
    id: &BookingId,
) -> Result<Option<Purchase>, Fault> {
    let found = sqlx::query("SELECT * FROM purchases WHERE id = $1")
        .bind(id.as_str())
        .try_map(|row: PgRow| Ok(purchase(&row)?))
        .fetch_optional(connection);
    Ok(found.await?)
}

/// One purchase more than `limit` of those after an id.
pub(super) async fn after(
    connection: &mut PgConnection,
    after: &str,
    limit: u32,
) -> Result<Vec<Purchase>, Fault> {
    let found = sqlx::query("SELECT * FROM purchases WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after)
        .bind(i64::from(limit).saturating_add(1))
        .try_map(|row: PgRow| Ok(purchase(&row)?))
        .fetch_all(connection);
    Ok(found.await?)
}

/// The purchases of these ids that exist, locked, and when the gateway was to be asked about each.
pub(super) async fn lock<'a>(
    connection: &mut PgConnection,
    ids: impl Iterator<Item = &'a BookingId>,
) -> Result<Vec<(Purchase, Option<Timestamp>)>, Fault> {
    let ids: Vec<&str> = ids.map(BookingId::as_str).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found =
        sqlx::query("SELECT * FROM purchases WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE")
            .bind(ids)
            .try_map(|row: PgRow| Ok(purchase_and_try(&row)?))
            .fetch_all(connection);
    Ok(found.await?)
}

/// Adds records, sorted by id, and returns the ids of those that are new. One that another
/// transaction adds at this moment is waited for.
pub(super) async fn insert(
    connection: &mut PgConnection,
    entries: &[Entry<'_>],
) -> Result<HashSet<BookingId>, Fault> {
    let of = |value: fn(&Purchase) -> &str| entries.iter().map(|(p, _)| value(p)).collect();
    let (ids, events, accounts): (Vec<_>, Vec<_>, Vec<_>) = (
        of(|p| p.command.booking_id.as_str()),
        of(|p| p.command.event_id.as_str()),
        of(|p| p.command.account_id.as_str()),
    );
    let commands = entries.iter().map(|(p, _)| command_text(&p.command));
    let insert = sqlx::query(
        "INSERT INTO purchases (id, payment, status, failure_code, charge_id, cancel_requested,
             tickets, refunds, version, submitted_at, updated_at, next_try_at, event_id,
             account_id, command, published_version)
         SELECT id, payment, status, failure_code, charge_id, cancel_requested, tickets, refunds,
             version, submitted_at, updated_at, next_try_at, event_id, account_id, command, 1
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[],
                 $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
                 $12::bigint[], $13::text[], $14::text[], $15::text[])
             WITH ORDINALITY AS t (id, payment, status, failure_code, charge_id,
                 cancel_requested, tickets, refunds, version, submitted_at, updated_at,
                 next_try_at, event_id, account_id, command, ordinal)
         ORDER BY ordinal ON CONFLICT (id) DO NOTHING RETURNING id",
    );
    let new = bind_changing(insert.bind(ids), entries)?
        .bind(events)
        .bind(accounts)
        .bind(commands.collect::<Result<Vec<_>, _>>()?)
        .try_map(|row: PgRow| Ok(parsed(&row, "id", BookingId::parse)?))
        .fetch_all(connection)
        .await?;
    Ok(new.into_iter().collect())
}

/// Writes what may change in records that are locked; what the booking is about never does.
pub(super) async fn update(
    connection: &mut PgConnection,
    entries: &[Entry<'_>],
) -> Result<(), Fault> {
    if entries.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = entries.iter().map(|(p, _)| p.command.booking_id.as_str()).collect();
    let update = sqlx::query(
        "UPDATE purchases p SET payment = t.payment, status = t.status,
             failure_code = t.failure_code, charge_id = t.charge_id,
             cancel_requested = t.cancel_requested, tickets = t.tickets, refunds = t.refunds,
             version = t.version, submitted_at = t.submitted_at, updated_at = t.updated_at,
             next_try_at = t.next_try_at
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[],
                 $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
                 $12::bigint[])
             AS t (id, payment, status, failure_code, charge_id, cancel_requested, tickets,
                 refunds, version, submitted_at, updated_at, next_try_at)
         WHERE p.id = t.id",
    );
    bind_changing(update.bind(ids), entries)?.execute(connection).await?;
    Ok(())
}

/// The columns that a step may change, in the order of the statements above.
fn bind_changing<'q>(
    query: Query<'q, Postgres, PgArguments>,
    entries: &[Entry<'_>],
) -> Result<Query<'q, Postgres, PgArguments>, sqlx::Error> {
    fn column<'a, T>(entries: &[Entry<'a>], value: fn(&'a Purchase) -> T) -> Vec<T> {
        entries.iter().map(|(purchase, _)| value(purchase)).collect()
    }
    let tickets = entries.iter().map(|(p, _)| json(&p.tickets)).collect::<Result<Vec<_>, _>>()?;
    let refunds = entries.iter().map(|(p, _)| json(&p.refunds)).collect::<Result<Vec<_>, _>>()?;
    let next_tries: Vec<_> = entries.iter().map(|(_, at)| at.map(Timestamp::millis)).collect();
    Ok(query
        .bind(column(entries, |p| p.payment.as_str()))
        .bind(column(entries, |p| p.status.as_str()))
        .bind(column(entries, |p| p.failure_code.as_deref()))
        .bind(column(entries, |p| p.charge_id.as_deref()))
        .bind(column(entries, |p| p.cancel_requested))
        .bind(tickets)
        .bind(refunds)
        .bind(column(entries, |p| i64::from(p.version)))
        .bind(column(entries, |p| p.submitted_at.map(Timestamp::millis)))
        .bind(column(entries, |p| p.updated_at.millis()))
        .bind(next_tries))
}
