//! Steps of bookings that are open: settle, cancel, refund; and writing what a step asks for.
use super::{claims, due, gate, records, transfers};
use crate::booking::{BookingOutcome, CancelBooking};
use crate::books::{Refunded, Settlement};
use crate::clock::Timestamp;
use crate::ids::BookingId;
use crate::purchase::{self, ClaimEffect, Purchase, Step};
use crate::sqlite::row::{json, parsed, time_maybe};
use crate::transfer::Unbalanced;
use sqlx::{Error, SqliteConnection};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    batch: &[Settlement],
    now: Timestamp,
) -> Result<Vec<BookingOutcome>, Error> {
    let ids = batch.iter().map(|settlement| &settlement.booking_id);
    let mut desk = Desk::open(connection, ids).await?;
    for Settlement { booking_id, result } in batch {
        desk.try_step(booking_id, |purchase| purchase::settle(purchase, result, now))?;
    }
    desk.save(connection, now).await
}

/// What to publish, whether new or not; and of that, what is new.
pub(super) async fn cancel(
    connection: &mut SqliteConnection,
    batch: &[CancelBooking],
    now: Timestamp,
) -> Result<(Vec<BookingOutcome>, Vec<BookingOutcome>), Error> {
    let ids: Vec<&BookingId> = batch.iter().map(|cancel| &cancel.booking_id).collect();
    let used = gate::used(connection, &ids).await?;
    let mut desk = Desk::open(connection, ids.iter().copied()).await?;
    for id in &ids {
        let used = used.contains(id.as_str());
        desk.try_step(id, |purchase| Ok(purchase::cancel(purchase, used, now)))?;
    }
    let new = desk.save(connection, now).await?;
    let decided = ids.iter().filter_map(|id| desk.purchases.get(*id));
    let publish = decided.filter(|p| p.version > 1).map(Purchase::outcome).collect();
    Ok((publish, new))
}

pub(super) async fn refunded(
    connection: &mut SqliteConnection,
    batch: &[Refunded],
    now: Timestamp,
) -> Result<Vec<BookingOutcome>, Error> {
    let mut desk = Desk::open(connection, batch.iter().map(|r| &r.booking_id)).await?;
    for Refunded { booking_id, refund_id } in batch {
        desk.try_step(booking_id, |purchase| purchase::refunded(purchase, refund_id, now))?;
    }
    desk.save(connection, now).await
}

/// The purchases of a batch, and the steps they take one after the other.
struct Desk {
    purchases: HashMap<BookingId, Purchase>,
    steps: Vec<Step>,
}

impl Desk {
    async fn open<'a>(
        connection: &mut SqliteConnection,
        ids: impl Iterator<Item = &'a BookingId>,
    ) -> Result<Self, Error> {
        let purchases = records::read(connection, ids).await?;
        Ok(Self { purchases, steps: Vec::new() })
    }

    /// Moves a purchase that is there, from where the batch has brought it so far.
    fn try_step(
        &mut self,
        id: &BookingId,
        step: impl FnOnce(Purchase) -> Result<Option<Step>, Unbalanced>,
    ) -> Result<(), Error> {
        let Entry::Occupied(mut place) = self.purchases.entry(id.clone()) else { return Ok(()) };
        let taken = step(place.get().clone()).map_err(|error| Error::Decode(Box::new(error)))?;
        if let Some(step) = taken {
            place.insert(step.purchase.clone());
            self.steps.push(step);
        }
        Ok(())
    }

    /// Writes all steps; the outcomes that outsiders must hear of come back, the last of each
    /// booking.
    async fn save(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<Vec<BookingOutcome>, Error> {
        if self.steps.is_empty() {
            return Ok(Vec::new());
        }
        let tries = next_tries(connection, &self.steps).await?;
        // A booking that took two steps is written as it is after both.
        let moved: HashMap<&BookingId, &Purchase> =
            self.steps.iter().map(|step| (id_of(step), &step.purchase)).collect();
        let entries: Vec<_> = moved
            .values()
            .map(|p| {
                let before = tries.get(p.command.booking_id.as_str()).copied().flatten();
                (*p, due::next_try(p, before, now))
            })
            .collect();
        records::update(connection, &entries).await?;
        self.save_effects(connection, now).await?;
        let loud = self.steps.iter().filter(|step| step.publish).map(id_of);
        let mut seen = std::collections::HashSet::new();
        let once = loud.filter(|id| seen.insert(*id));
        Ok(once.filter_map(|id| moved.get(id)).map(|p| p.outcome()).collect())
    }

    async fn save_effects(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<(), Error> {
        let sold: Vec<&Purchase> = self.with(ClaimEffect::Sell).map(|s| &s.purchase).collect();
        let sold_ids: Vec<_> = sold.iter().map(|purchase| &purchase.command.booking_id).collect();
        let released: Vec<_> = self.with(ClaimEffect::Release).map(id_of).collect();
        claims::sell(connection, &sold_ids).await?;
        gate::issue(connection, &sold).await?;
        claims::release(connection, &released, now).await?;
        gate::void(connection, &released).await?;
        let moved: Vec<_> = self.steps.iter().filter_map(|step| step.transfer.as_ref()).collect();
        transfers::insert(connection, &moved).await
    }

    fn with(&self, effect: ClaimEffect) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.claims == effect)
    }
}

fn id_of(step: &Step) -> &BookingId {
    &step.purchase.command.booking_id
}

/// When the gateway was to be asked about these purchases, before they moved.
async fn next_tries(
    connection: &mut SqliteConnection,
    steps: &[Step],
) -> Result<HashMap<String, Option<Timestamp>>, Error> {
    let ids: Vec<_> = steps.iter().map(id_of).collect();
    let found = sqlx::query(
        "SELECT id, next_try_at FROM purchases WHERE id IN (SELECT value FROM json_each(?1))",
    )
    .bind(json(&ids)?)
    .try_map(|row| {
        let id: BookingId = parsed(&row, "id", BookingId::parse)?;
        Ok((id.to_string(), time_maybe(&row, "next_try_at")?))
    })
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}
