//! Claims on places: made, sold, released, and listed for whoever keeps a copy.
use super::revisions::Revisions;
use super::seats::{self, Counts};
use crate::fault::Fault;
use ledger::books::Claims;
use ledger::purchase::{Opened, PlaceKey, Purchase};
use ledger::{AccountId, BookingId, EventId, PlaceBooking, PlaceId, Timestamp};
use ledger_sql::{Record, claim_change, parsed};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use std::collections::HashMap;

/// Claims the places of a batch. False when some of them have another owner: then what was
/// claimed is to be taken back.
pub(super) async fn insert(connection: &mut PgConnection, opened: &Opened) -> Result<bool, Fault> {
    let mut wanted: Vec<_> = opened.claims().map(|(place, c)| (&c.event_id, place, c)).collect();
    if wanted.is_empty() {
        return Ok(true);
    }
    wanted.sort_by_key(|(event, place, _)| (*event, *place));
    let inserted = sqlx::query(
        "INSERT INTO claims (event_id, place, booking_id, account_id, state)
         SELECT event_id, place, booking_id, account_id, 'paying'
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
             WITH ORDINALITY AS t (event_id, place, booking_id, account_id, ordinal)
         ORDER BY ordinal
         ON CONFLICT (event_id, place) WHERE released_at IS NULL DO NOTHING",
    )
    .bind(wanted.iter().map(|(event, _, _)| event.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, place, _)| place.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, _, command)| command.booking_id.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, _, command)| command.account_id.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(usize::try_from(inserted.rows_affected()) == Ok(wanted.len()))
}

/// Who owns what a batch wants.
pub(super) async fn owners(
    connection: &mut PgConnection,
    batch: &[PlaceBooking],
) -> Result<HashMap<PlaceKey, BookingId>, Fault> {
    let wanted: Vec<_> =
        batch.iter().flat_map(|c| c.items.iter().map(|i| (&c.event_id, &i.item))).collect();
    let found = sqlx::query(
        "SELECT c.event_id, c.place, c.booking_id
         FROM unnest($1::text[], $2::text[]) AS t (event_id, place), LATERAL (
             SELECT event_id, place, booking_id FROM claims
             WHERE event_id = t.event_id AND place = t.place AND released_at IS NULL LIMIT 1) c",
    )
    .bind(wanted.iter().map(|(event, _)| event.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, place)| place.as_str()).collect::<Vec<_>>())
    .try_map(|row: PgRow| {
        let event = parsed(&row, "event_id", EventId::parse)?;
        let place = parsed(&row, "place", PlaceId::parse)?;
        Ok(((event, place), parsed(&row, "booking_id", BookingId::parse)?))
    })
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}

/// The claims of these purchases, which are locked and confirmed, become sales.
pub(super) async fn sell(
    connection: &mut PgConnection,
    purchases: &[&Purchase],
) -> Result<(), Fault> {
    if purchases.is_empty() {
        return Ok(());
    }
    let (bookings, places) = claims_of(purchases);
    sqlx::query(
        "UPDATE claims c SET state = 'sold', revision = pg_current_xact_id()::text::bigint
         FROM unnest($1::text[], $2::text[]) AS t (booking_id, place)
         WHERE c.booking_id = t.booking_id AND c.place = t.place",
    )
    .bind(bookings)
    .bind(places)
    .execute(connection)
    .await?;
    Ok(())
}

/// The live claims of these purchases end, and their accounts, whose counts are locked, may have
/// other seats instead.
pub(super) async fn release(
    connection: &mut PgConnection,
    purchases: &[&Purchase],
    now: Timestamp,
) -> Result<(), Fault> {
    if purchases.is_empty() {
        return Ok(());
    }
    let (bookings, places) = claims_of(purchases);
    // Not "IS NULL": the planner would take the index of all live claims for a short one.
    let released = sqlx::query(
        "UPDATE claims c SET released_at = $3, revision = pg_current_xact_id()::text::bigint
         FROM unnest($1::text[], $2::text[]) AS t (booking_id, place)
         WHERE c.booking_id = t.booking_id AND c.place = t.place
             AND COALESCE(c.released_at, 0) = 0
         RETURNING c.event_id, c.account_id",
    )
    .bind(bookings)
    .bind(places)
    .bind(now.millis())
    .try_map(|row: PgRow| {
        let event = parsed(&row, "event_id", EventId::parse)?;
        Ok((event, parsed(&row, "account_id", AccountId::parse)?))
    })
    .fetch_all(&mut *connection)
    .await?;
    let mut counts = Counts::default();
    released.into_iter().for_each(|key| counts.change(key, -1));
    seats::correct(connection, &counts).await
}

/// The keys of what these purchases may have claimed: bookings, and a place of each.
fn claims_of<'a>(purchases: &[&'a Purchase]) -> (Vec<&'a str>, Vec<&'a str>) {
    let commands = purchases.iter().map(|purchase| &purchase.command);
    let claims = commands.flat_map(|command| {
        let booking = command.booking_id.as_str();
        command.items.iter().map(move |item| (booking, item.item.as_str()))
    });
    claims.unzip()
}

/// What changed after `revision`, in one look: see [`Revisions`].
pub(super) async fn changed(
    connection: &mut PgConnection,
    event: &EventId,
    revision: u64,
    revisions: &Revisions,
) -> Result<Claims, Fault> {
    let (from, seen) = revisions.of(revision);
    let rows = sqlx::query(
        "SELECT h.snapshot, h.open, h.newest, c.place, c.account_id, c.booking_id, c.state,
             c.released_at IS NULL AS live
         FROM (SELECT pg_current_snapshot()::text AS snapshot,
                   pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS open,
                   COALESCE((SELECT max(revision) FROM claims WHERE event_id = $1), 0) AS newest) h
         LEFT JOIN claims c ON c.event_id = $1 AND c.revision >= $2
             AND ($2 > 0 OR c.released_at IS NULL)
             AND ($3::text IS NULL
                 OR NOT pg_visible_in_snapshot(c.revision::text::xid8, $3::text::pg_snapshot))",
    )
    .bind(event.as_str())
    .bind(from)
    .bind(&seen)
    .fetch_all(connection)
    .await?;
    // The join's only row when nothing changed has no claim in it.
    let (mut news, mut head) = (Vec::with_capacity(rows.len()), None);
    for row in rows {
        head =
            Some((row.text("snapshot")?.to_owned(), row.integer("open")?, row.integer("newest")?));
        if row.text_maybe("place")?.is_some() {
            news.push(claim_change(&row)?);
        }
    }
    if news.is_empty() && revision > 0 {
        return Ok(Claims { revision, ..Claims::default() });
    }
    let Some((snapshot, open, newest)) = head else { return Err(Fault::Contended) };
    Ok(ledger_sql::changes(news, revisions.mark(snapshot, open, newest)))
}
