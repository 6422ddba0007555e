//! Opening bookings: who gets the places is decided in order, in one transaction.
use super::{claims, records};
use ledger::books::Begun;
use ledger::purchase::{Opened, Purchase, may_claim, open_batch};
use ledger::{BookingId, BookingOutcome, PlaceBooking, Timestamp};
use sqlx::{Error, SqliteConnection};
use std::collections::{HashMap, HashSet};

/// The answers in the order of `batch`, and the outcomes that are new.
pub(super) type Began = (Vec<Begun>, Vec<BookingOutcome>);

pub(super) async fn begin(
    connection: &mut SqliteConnection,
    batch: &[PlaceBooking],
    now: Timestamp,
) -> Result<Began, Error> {
    let found = records::read(connection, batch.iter().map(|c| &c.booking_id)).await?;
    let known: HashMap<BookingId, Purchase> =
        found.into_iter().map(|(p, _)| (p.command.booking_id.clone(), p)).collect();
    let stored: HashSet<BookingId> = known.keys().cloned().collect();
    let open: Vec<_> = batch.iter().filter(|c| may_claim(known.get(&c.booking_id))).collect();
    let snapshot = claims::snapshot(connection, &open).await?;
    let opened = open_batch(batch, known, snapshot, now);
    save(&opened, connection, &stored, now).await?;
    let news = opened.new_outcomes();
    Ok((opened.begun, news))
}

async fn save(
    opened: &Opened,
    connection: &mut SqliteConnection,
    stored: &HashSet<BookingId>,
    now: Timestamp,
) -> Result<(), Error> {
    let (old, new): (Vec<_>, Vec<_>) = opened
        .entries(now)
        .partition(|(purchase, _)| stored.contains(&purchase.command.booking_id));
    records::insert(connection, &new).await?;
    records::update(connection, &old).await?;
    claims::insert(connection, opened).await?;
    // Only a record that was there before can have claims to give back.
    let refused = opened.refused().map(|purchase| &purchase.command.booking_id);
    let released: Vec<&BookingId> = refused.filter(|id| stored.contains(*id)).collect();
    claims::release(connection, &released, now).await
}
