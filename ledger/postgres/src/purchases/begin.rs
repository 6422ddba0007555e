//! Opening bookings: the record decides between all nodes, and in order within a batch.
//!
//! What a batch comes to when every place is free is written at once; where it was not, the places
//! of the whole batch are let go and it is decided again in sight of who has them. So a booking
//! that gets fewer places than it asked for takes none of them from another.
use super::{claims, records, seats};
use crate::fault::Fault;
use ledger::books::Begun;
use ledger::purchase::Entry;
use ledger::purchase::{ClaimsSnapshot, Opened, Purchase, open_batch};
use ledger::{BookingId, BookingOutcome, PlaceBooking, Timestamp};
use seats::Counts;
use sqlx::{Executor, PgConnection};
use std::collections::{HashMap, HashSet};

/// How often a batch is decided anew. Each time somebody else got a place that was free before.
const ROUNDS_MAX: usize = 16;

/// The answers in the order of the batch, and the outcomes that are new.
pub(super) type Began = (Vec<Begun>, Vec<BookingOutcome>);

pub(super) async fn begin(
    connection: &mut PgConnection,
    batch: &[PlaceBooking],
    now: Timestamp,
) -> Result<Began, Fault> {
    let guess = open_batch(batch, HashMap::new(), ClaimsSnapshot::default(), now);
    let mut entries: Vec<Entry<'_>> = guess.entries(now).collect();
    entries.sort_by_key(|(purchase, _)| &purchase.command.booking_id);
    let new = records::insert(connection, &entries).await?;
    let old = batch.iter().map(|command| &command.booking_id).filter(|id| !new.contains(*id));
    let known: HashMap<BookingId, Purchase> = records::lock(connection, old)
        .await?
        .into_iter()
        .map(|(purchase, _)| (purchase.command.booking_id.clone(), purchase))
        .collect();
    let counted = Counts::of(&guess, batch);
    let seats = seats::add(connection, &counted).await?;
    let opened = claim(
        connection,
        batch,
        &known,
        ClaimsSnapshot { seats, ..ClaimsSnapshot::default() },
        now,
    )
    .await?;
    correct(connection, &guess, &opened, &new, now).await?;
    seats::correct(connection, &Counts::of(&opened, &[]).minus(&counted)).await?;
    // Only a record that was there before can have claims to give back.
    let is_old = |purchase: &&Purchase| !new.contains(&purchase.command.booking_id);
    let released: Vec<&Purchase> = opened.refused().filter(is_old).collect();
    claims::release(connection, &released, now).await?;
    let news = opened.new_outcomes();
    Ok((opened.begun, news))
}

/// Claims places, all of a booking or none, until what was decided is what was got.
async fn claim(
    connection: &mut PgConnection,
    batch: &[PlaceBooking],
    known: &HashMap<BookingId, Purchase>,
    mut snapshot: ClaimsSnapshot,
    now: Timestamp,
) -> Result<Opened, Fault> {
    connection.execute("SAVEPOINT claims").await?;
    for _ in 0..ROUNDS_MAX {
        let opened = open_batch(batch, known.clone(), snapshot.clone(), now);
        if claims::insert(connection, &opened).await? {
            return Ok(opened);
        }
        // Whoever waits for one of these places may go on, so nobody waits in a circle.
        connection.execute("ROLLBACK TO SAVEPOINT claims").await?;
        snapshot.owners = claims::owners(connection, batch).await?;
    }
    Err(Fault::Contended)
}

/// Writes the records that came out otherwise than they were added.
async fn correct(
    connection: &mut PgConnection,
    guess: &Opened,
    opened: &Opened,
    new: &HashSet<BookingId>,
    now: Timestamp,
) -> Result<(), Fault> {
    let written: HashMap<&BookingId, Entry<'_>> = guess
        .entries(now)
        .map(|entry| (&entry.0.command.booking_id, entry))
        .filter(|(id, _)| new.contains(*id))
        .collect();
    let other = |entry: &Entry<'_>| written.get(&entry.0.command.booking_id) != Some(entry);
    let entries: Vec<Entry<'_>> = opened.entries(now).filter(other).collect();
    records::update(connection, &entries).await
}
