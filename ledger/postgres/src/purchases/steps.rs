//! Steps of bookings that are open: settle, cancel, refund; and writing what a step asks for.
use super::{claims, gate, records, seats, transfers};
use crate::fault::Fault;
use ledger::books::{Refunded, Settlement};
use ledger::purchase::Desk;
use ledger::{BookingOutcome, CancelBooking, Timestamp};
use sqlx::PgConnection;

pub(super) async fn settle(
    connection: &mut PgConnection,
    batch: &[Settlement],
    now: Timestamp,
) -> Result<Vec<BookingOutcome>, Fault> {
    let ids = batch.iter().map(|settlement| &settlement.booking_id);
    let mut desk = Desk::open(records::lock(connection, ids).await?);
    desk.settle(batch, now)?;
    save(&desk, connection, now).await?;
    Ok(desk.news())
}

/// What to publish, whether new or not; and of that, what is new.
pub(super) async fn cancel(
    connection: &mut PgConnection,
    batch: &[CancelBooking],
    now: Timestamp,
) -> Result<(Vec<BookingOutcome>, Vec<BookingOutcome>), Fault> {
    let found = records::lock(connection, batch.iter().map(|c| &c.booking_id)).await?;
    let used = gate::used(connection, found.iter().map(|(purchase, _)| purchase)).await?;
    let mut desk = Desk::open(found);
    let publish = desk.cancel(batch, &used, now)?;
    save(&desk, connection, now).await?;
    Ok((publish, desk.news()))
}

pub(super) async fn refunded(
    connection: &mut PgConnection,
    batch: &[Refunded],
    now: Timestamp,
) -> Result<Vec<BookingOutcome>, Fault> {
    let found = records::lock(connection, batch.iter().map(|r| &r.booking_id)).await?;
    let mut desk = Desk::open(found);
    desk.refunded(batch, now)?;
    save(&desk, connection, now).await?;
    Ok(desk.news())
}

/// Writes all steps, one statement a table.
async fn save(desk: &Desk, connection: &mut PgConnection, now: Timestamp) -> Result<(), Fault> {
    if desk.is_still() {
        return Ok(());
    }
    records::update(connection, &desk.moved(now)).await?;
    let (sold, released) = (desk.sold(), desk.released());
    gate::issue(connection, &sold).await?;
    claims::sell(connection, &sold).await?;
    if !released.is_empty() {
        gate::void(connection, &released).await?;
        seats::lock(connection, &released).await?;
        claims::release(connection, &released, now).await?;
    }
    transfers::insert(connection, &desk.transfers()).await
}
