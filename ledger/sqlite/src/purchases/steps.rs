//! Steps of bookings that are open: settle, cancel, refund; and writing what a step asks for.
use super::{claims, gate, records, transfers};
use ledger::books::{Refunded, Settlement};
use ledger::purchase::{Purchase, SettlementBatch};
use ledger::{BookingId, BookingOutcome, CancelBooking, Timestamp, Unbalanced};
use sqlx::{Error, SqliteConnection};

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    batch: &[Settlement],
    now: Timestamp,
) -> Result<Vec<BookingOutcome>, Error> {
    let ids = batch.iter().map(|settlement| &settlement.booking_id);
    let mut settlement = SettlementBatch::open(records::read(connection, ids).await?);
    settlement.settle(batch, now).map_err(unbalanced)?;
    save(&settlement, connection, now).await?;
    Ok(settlement.new_outcomes())
}

/// What to publish, whether new or not; and of that, what is new.
pub(super) async fn cancel(
    connection: &mut SqliteConnection,
    batch: &[CancelBooking],
    now: Timestamp,
) -> Result<(Vec<BookingOutcome>, Vec<BookingOutcome>), Error> {
    let ids: Vec<&BookingId> = batch.iter().map(|cancel| &cancel.booking_id).collect();
    let used = gate::used(connection, &ids).await?;
    let mut settlement = SettlementBatch::open(records::read(connection, ids.into_iter()).await?);
    let publish = settlement.cancel(batch, &used, now).map_err(unbalanced)?;
    save(&settlement, connection, now).await?;
    Ok((publish, settlement.new_outcomes()))
}

pub(super) async fn refunded(
    connection: &mut SqliteConnection,
    batch: &[Refunded],
    now: Timestamp,
) -> Result<Vec<BookingOutcome>, Error> {
    let found = records::read(connection, batch.iter().map(|r| &r.booking_id)).await?;
    let mut settlement = SettlementBatch::open(found);
    settlement.refunded(batch, now).map_err(unbalanced)?;
    save(&settlement, connection, now).await?;
    Ok(settlement.new_outcomes())
}

/// Writes all steps.
async fn save(
    settlement: &SettlementBatch,
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<(), Error> {
    if settlement.is_unchanged() {
        return Ok(());
    }
    records::update(connection, &settlement.changed(now)).await?;
    let (sold, released) = (settlement.sold(), settlement.released());
    claims::sell(connection, &ids_of(&sold)).await?;
    gate::issue(connection, &sold).await?;
    claims::release(connection, &ids_of(&released), now).await?;
    gate::void(connection, &ids_of(&released)).await?;
    transfers::insert(connection, &settlement.transfers()).await
}

fn ids_of<'a>(purchases: &[&'a Purchase]) -> Vec<&'a BookingId> {
    purchases.iter().map(|purchase| &purchase.command.booking_id).collect()
}

fn unbalanced(error: Unbalanced) -> Error {
    Error::Decode(Box::new(error))
}
