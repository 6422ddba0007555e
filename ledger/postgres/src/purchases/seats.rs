//! How many seats accounts have, counted beside the claims: what the cap is checked against.
use crate::fault::Fault;
use ledger::PlaceBooking;
use ledger::purchase::{Opened, Purchase, SeatsKey, seats_key};
use ledger_sql::{count, parsed};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use std::collections::{BTreeMap, HashMap};

/// Changes of how many seats accounts have, in the order in which their rows are locked.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<SeatsKey, i64>);

impl Counts {
    /// What a batch claims; accounts that claim nothing are there with nothing.
    pub(super) fn of(opened: &Opened, batch: &[PlaceBooking]) -> Self {
        let mut counts = Self::default();
        batch.iter().for_each(|command| counts.change(seats_key(command), 0));
        opened.claims().for_each(|(_, command)| counts.change(seats_key(command), 1));
        counts
    }

    pub(super) fn change(&mut self, key: SeatsKey, by: i64) {
        let sum = self.0.entry(key).or_default();
        *sum = sum.saturating_add(by);
    }

    /// What is still to be changed when `other` was changed already.
    pub(super) fn minus(mut self, other: &Self) -> Self {
        other.0.iter().for_each(|(key, by)| self.change(key.clone(), by.saturating_neg()));
        self.0.retain(|_, by| *by != 0);
        self
    }

    fn columns(&self) -> (Vec<&str>, Vec<&str>, Vec<i64>) {
        let events = self.0.keys().map(|(event, _)| event.as_str()).collect();
        let accounts = self.0.keys().map(|(_, account)| account.as_str()).collect();
        (events, accounts, self.0.values().copied().collect())
    }
}

/// Adds to the counts, and returns what they were before. Their rows are locked from here on.
pub(super) async fn add(
    connection: &mut PgConnection,
    counts: &Counts,
) -> Result<HashMap<SeatsKey, u32>, Fault> {
    let (events, accounts, seats) = counts.columns();
    let found = sqlx::query(
        "INSERT INTO account_seats (event_id, account_id, seats)
         SELECT event_id, account_id, seats FROM unnest($1::text[], $2::text[], $3::bigint[])
             WITH ORDINALITY AS t (event_id, account_id, seats, ordinal)
         ORDER BY ordinal
         ON CONFLICT (event_id, account_id)
             DO UPDATE SET seats = account_seats.seats + excluded.seats
         RETURNING event_id, account_id, seats",
    )
    .bind(events)
    .bind(accounts)
    .bind(seats)
    .try_map(|row: PgRow| {
        let event = parsed(&row, "event_id", ledger::EventId::parse)?;
        let account = parsed(&row, "account_id", ledger::AccountId::parse)?;
        Ok(((event, account), count(&row, "seats")?))
    })
    .fetch_all(connection)
    .await?;
    let before = found.into_iter().map(|(key, seats)| {
        let added = counts.0.get(&key).copied().unwrap_or(0).unsigned_abs();
        let before = u32::try_from(seats.saturating_sub(added)).unwrap_or(u32::MAX);
        (key, before)
    });
    Ok(before.collect())
}

/// Locks the counts of these purchases' accounts.
pub(super) async fn lock(
    connection: &mut PgConnection,
    purchases: &[&Purchase],
) -> Result<(), Fault> {
    let mut counts = Counts::default();
    purchases.iter().for_each(|purchase| counts.change(seats_key(&purchase.command), 0));
    let (events, accounts, _) = counts.columns();
    sqlx::query(
        "SELECT 1 FROM account_seats s JOIN unnest($1::text[], $2::text[])
             AS t (event_id, account_id) USING (event_id, account_id)
         ORDER BY event_id, account_id FOR NO KEY UPDATE OF s",
    )
    .bind(events)
    .bind(accounts)
    .execute(connection)
    .await?;
    Ok(())
}

/// Changes counts whose rows are there and locked.
pub(super) async fn correct(connection: &mut PgConnection, counts: &Counts) -> Result<(), Fault> {
    if counts.0.is_empty() {
        return Ok(());
    }
    let (events, accounts, seats) = counts.columns();
    sqlx::query(
        "UPDATE account_seats s SET seats = s.seats + t.seats
         FROM unnest($1::text[], $2::text[], $3::bigint[]) AS t (event_id, account_id, seats)
         WHERE s.event_id = t.event_id AND s.account_id = t.account_id",
    )
    .bind(events)
    .bind(accounts)
    .bind(seats)
    .execute(connection)
    .await?;
    Ok(())
}
