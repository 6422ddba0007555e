//! Steps of bookings that are open: settle, cancel, refund; and writing what a step asks for.
use super::{claims, gate, records, seats, transfers};
use crate::fault::Fault;
use ledger::books::{Refunded, Settlement};
use ledger::purchase::SettlementBatch;
use ledger::{BookingOutcome, CancelBooking, Timestamp};
use sqlx::PgConnection;

pub(super) async fn settle(
    connection: &mut PgConnection,
    batch: &[Settlement],
    now: Timestamp,
) -> Result<Vec<BookingOutcome>, Fault> {
    let ids = batch.iter().map(|settlement| &settlement.booking_id);
    let mut settlement = SettlementBatch::open(records::lock(connection, ids).await?);
    settlement.settle(batch, now)?;
    save(&settlement, connection, now).await?;
    Ok(settlement.new_outcomes())
}

/// What to publish, whether new or not; and of that, what is new.
pub(super) async fn cancel(
    connection: &mut PgConnection,
    batch: &[CancelBooking],
    now: Timestamp,
) -> Result<(Vec<BookingOutcome>, Vec<BookingOutcome>), Fault> {
    let found = records::lock(connection, batch.iter().map(|c| &c.booking_id)).await?;
    let used = gate::used(connection, found.iter().map(|(purchase, _)| purchase)).await?;
    let mut settlement = SettlementBatch::open(found);
    let publish = settlement.cancel(batch, &used, now)?;
    save(&settlement, connection, now).await?;
    Ok((publish, settlement.new_outcomes()))
}

pub(super) async fn refunded(
    connection: &mut PgConnection,
    batch: &[Refunded],
    now: Timestamp,
) -> Result<Vec<BookingOutcome>, Fault> {
    let found = records::lock(connection, batch.iter().map(|r| &r.booking_id)).await?;
    let mut settlement = SettlementBatch::open(found);
    settlement.refunded(batch, now)?;
    save(&settlement, connection, now).await?;
    Ok(settlement.new_outcomes())
}

/// Writes all steps, one statement a table.
async fn save(
    settlement: &SettlementBatch,
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<(), Fault> {
    if settlement.is_unchanged() {
        return Ok(());
    }
    records::update(connection, &settlement.changed(now)).await?;
    let (sold, released) = (settlement.sold(), settlement.released());
    gate::issue(connection, &sold).await?;
    claims::sell(connection, &sold).await?;
    if !released.is_empty() {
        gate::void(connection, &released).await?;
        seats::lock(connection, &released).await?;
        claims::release(connection, &released, now).await?;
    }
    transfers::insert(connection, &settlement.transfers()).await
}
