//! Opening bookings: who gets the places is decided in order, in one transaction.
use super::{claims, records};
use crate::Connection;
use ledger::books::Begun;
use ledger::purchase::{Opened, Purchase, may_claim, open_batch};
use ledger::{BookingId, BookingOutcome, PlaceBooking, Timestamp};
use rusqlite::Error;
use std::collections::{HashMap, HashSet};

/// The answers in the order of `batch`, and the outcomes that are new.
pub(super) type Began = (Vec<Begun>, Vec<BookingOutcome>);

pub(super) fn begin(
    connection: &Connection,
    batch: &[PlaceBooking],
    now: Timestamp,
) -> Result<Began, Error> {
    let found = records::read(connection, batch.iter().map(|c| &c.booking_id))?;
    let known: HashMap<BookingId, Purchase> =
        found.into_iter().map(|(p, _)| (p.command.booking_id.clone(), p)).collect();
    let stored: HashSet<BookingId> = known.keys().cloned().collect();
    let open: Vec<_> = batch.iter().filter(|c| may_claim(known.get(&c.booking_id))).collect();
    let snapshot = claims::snapshot(connection, &open)?;
    let opened = open_batch(batch, known, snapshot, now);
    save(&opened, connection, &stored, now)?;
    let news = opened.new_outcomes();
    Ok((opened.begun, news))
}

fn save(
    opened: &Opened,
    connection: &Connection,
    stored: &HashSet<BookingId>,
    now: Timestamp,
) -> Result<(), Error> {
    for entry in opened.entries(now) {
        if stored.contains(&entry.0.command.booking_id) {
            records::update(connection, entry)?;
        } else {
            records::insert(connection, entry)?;
        }
    }
    claims::insert(connection, opened)?;
    // Only a record that was there before can have claims to give back.
    let released = opened.refused().filter(|p| stored.contains(&p.command.booking_id));
    claims::release(connection, &released.collect::<Vec<_>>(), now)
}
