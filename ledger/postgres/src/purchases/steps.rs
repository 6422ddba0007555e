//! Steps of bookings that are open: deciding them, and writing what they come to.
use super::{claims, gate, records, seats, transfers};
use crate::fault::Fault;
use ledger::purchase::SettlementBatch;
use ledger::{BookingOutcome, Timestamp};
use ledger_sql::{Steps, StepsTaken};
use sqlx::PgConnection;
use std::collections::HashSet;

/// What to publish, whether new or not; and of that, what is new.
pub(super) async fn take(
    connection: &mut PgConnection,
    steps: &Steps,
    now: Timestamp,
) -> Result<(Vec<BookingOutcome>, Vec<BookingOutcome>), Fault> {
    let found = records::lock(connection, steps.bookings().into_iter()).await?;
    let used = if steps.needs_used_tickets() {
        gate::used(connection, found.iter().map(|(purchase, _)| purchase)).await?
    } else {
        HashSet::new()
    };
    let StepsTaken { batch, publish } = steps.take(found, &used, now)?;
    save(&batch, connection, now).await?;
    Ok((publish, batch.new_outcomes()))
}

/// Writes all steps, one statement a table.
async fn save(
    batch: &SettlementBatch,
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<(), Fault> {
    if batch.is_unchanged() {
        return Ok(());
    }
    records::update(connection, &batch.changed(now)).await?;
    let (sold, released) = (batch.sold(), batch.released());
    gate::issue(connection, &sold).await?;
    claims::sell(connection, &sold).await?;
    if !released.is_empty() {
        gate::void(connection, &released).await?;
        seats::lock(connection, &released).await?;
        claims::release(connection, &released, now).await?;
    }
    transfers::insert(connection, &batch.transfers()).await
}
