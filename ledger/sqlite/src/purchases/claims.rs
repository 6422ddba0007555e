//! Claims on places and the seats counted against each account's cap.
use crate::row::{count, json, parsed, signed};
use ledger::books::Claims;
use ledger::purchase::{ClaimsSnapshot, Opened};
use ledger::{AccountId, BookingId, EventId, PlaceBooking, PlaceId, Timestamp};
use sqlx::{Error, SqliteConnection, SqlitePool};
use std::collections::{BTreeMap, BTreeSet};

/// What the record says of everything that `commands` want.
pub(super) async fn snapshot(
    connection: &mut SqliteConnection,
    commands: &[&PlaceBooking],
) -> Result<ClaimsSnapshot, Error> {
    let mut snapshot = ClaimsSnapshot::default();
    if commands.is_empty() {
        return Ok(snapshot);
    }
    let places: Vec<(&EventId, &PlaceId)> =
        commands.iter().flat_map(|c| c.items.iter().map(|i| (&c.event_id, &i.item))).collect();
    let live = sqlx::query(
        "SELECT c.event_id, c.place, c.booking_id FROM json_each(?1) AS w CROSS JOIN claims AS c \
         ON c.event_id = w.value ->> 0 AND c.place = w.value ->> 1 AND c.released_at IS NULL",
    )
    .bind(json(&places)?)
    .fetch_all(&mut *connection)
    .await?;
    for row in &live {
        let place =
            (parsed(row, "event_id", EventId::parse)?, parsed(row, "place", PlaceId::parse)?);
        snapshot.owners.insert(place, parsed(row, "booking_id", BookingId::parse)?);
    }
    let accounts: BTreeSet<_> = commands.iter().map(|c| (&c.event_id, &c.account_id)).collect();
    let counts = sqlx::query(
        "SELECT a.event_id, a.account_id, a.seats FROM json_each(?1) AS w \
         CROSS JOIN account_seats AS a \
         ON a.event_id = w.value ->> 0 AND a.account_id = w.value ->> 1",
    )
    .bind(json(&accounts)?)
    .fetch_all(connection)
    .await?;
    for row in &counts {
        let event = parsed(row, "event_id", EventId::parse)?;
        let account = parsed(row, "account_id", AccountId::parse)?;
        let seats = u32::try_from(count(row, "seats")?).unwrap_or(u32::MAX);
        snapshot.seats.insert((event, account), seats);
    }
    Ok(snapshot)
}

/// Claims the places of a batch and counts them. The unique index refuses the whole transaction
/// should a live claim have been overlooked.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    opened: &Opened,
) -> Result<(), Error> {
    let rows: Vec<_> =
        opened.claims().map(|(p, c)| (&c.event_id, p, &c.booking_id, &c.account_id)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let revision = next_revision(connection).await?;
    sqlx::query(
        "INSERT INTO claims (event_id, place, booking_id, account_id, state, revision) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, 'paying', ?2 \
         FROM json_each(?1)",
    )
    .bind(json(&rows)?)
    .bind(revision)
    .execute(&mut *connection)
    .await?;
    let mut counts = Counts::new();
    for (_, command) in opened.claims() {
        counts.add(command.event_id.as_str(), command.account_id.as_str(), 1);
    }
    counts.save(connection).await
}

/// The claims of these bookings become sales.
pub(super) async fn sell(
    connection: &mut SqliteConnection,
    bookings: &[&BookingId],
) -> Result<(), Error> {
    if bookings.is_empty() {
        return Ok(());
    }
    let revision = next_revision(connection).await?;
    sqlx::query(
        "UPDATE claims SET state = 'sold', revision = ?2 \
         WHERE booking_id IN (SELECT value FROM json_each(?1)) AND released_at IS NULL",
    )
    .bind(json(&bookings)?)
    .bind(revision)
    .execute(connection)
    .await?;
    Ok(())
}

/// The live claims of these bookings end, and their accounts may have other seats instead.
pub(super) async fn release(
    connection: &mut SqliteConnection,
    bookings: &[&BookingId],
    now: Timestamp,
) -> Result<(), Error> {
    if bookings.is_empty() {
        return Ok(());
    }
    let revision = next_revision(connection).await?;
    let released: Vec<(String, String)> = sqlx::query_as(
        "UPDATE claims SET released_at = ?2, revision = ?3 \
         WHERE booking_id IN (SELECT value FROM json_each(?1)) AND released_at IS NULL \
         RETURNING event_id, account_id",
    )
    .bind(json(&bookings)?)
    .bind(now.millis())
    .bind(revision)
    .fetch_all(&mut *connection)
    .await?;
    let mut counts = Counts::new();
    for (event, account) in &released {
        counts.add(event, account, -1);
    }
    counts.save(connection).await
}

/// What changed after `revision`, in one look.
pub(super) async fn changed(
    readers: &SqlitePool,
    event: &EventId,
    revision: u64,
) -> Result<Claims, Error> {
    let mut snapshot = readers.begin().await?;
    let newest: i64 =
        sqlx::query_scalar("SELECT coalesce(max(revision), 0) FROM claims WHERE event_id = ?1")
            .bind(event.as_str())
            .fetch_one(&mut *snapshot)
            .await?;
    let rows = sqlx::query(
        "SELECT place, account_id, booking_id, state, released_at IS NULL AS live FROM claims \
         WHERE event_id = ?1 AND revision > ?2 AND (?2 > 0 OR released_at IS NULL)",
    )
    .bind(event.as_str())
    .bind(signed(revision))
    .fetch_all(&mut *snapshot)
    .await?;
    snapshot.commit().await?;
    Ok(ledger_sql::changes(&rows, u64::try_from(newest).unwrap_or(0))?)
}

async fn next_revision(connection: &mut SqliteConnection) -> Result<i64, Error> {
    sqlx::query_scalar("UPDATE claim_revision SET value = value + 1 RETURNING value")
        .fetch_one(connection)
        .await
}

/// Changes of how many seats accounts have, added up before they are written.
struct Counts<'a>(BTreeMap<(&'a str, &'a str), i64>);

impl<'a> Counts<'a> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn add(&mut self, event: &'a str, account: &'a str, seats: i64) {
        let sum = self.0.entry((event, account)).or_default();
        *sum = sum.saturating_add(seats);
    }

    async fn save(self, connection: &mut SqliteConnection) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = self.0.iter().map(|((event, account), n)| (event, account, n)).collect();
        // Not an upsert: its new row would have to pass the check on its own, and a release is
        // a negative number.
        sqlx::query(
            "INSERT INTO account_seats (event_id, account_id, seats) \
             SELECT value ->> 0, value ->> 1, 0 FROM json_each(?1) WHERE true \
             ON CONFLICT DO NOTHING",
        )
        .bind(json(&rows)?)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "UPDATE account_seats SET seats = seats + (value ->> 2) FROM json_each(?1) \
             WHERE event_id = value ->> 0 AND account_id = value ->> 1",
        )
        .bind(json(&rows)?)
        .execute(connection)
        .await?;
        Ok(())
    }
}
