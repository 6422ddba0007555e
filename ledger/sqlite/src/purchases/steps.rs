//! Steps of bookings that are open: deciding them, and writing what they come to.
use super::{claims, gate, records, transfers};
use crate::Connection;
use ledger::purchase::SettlementBatch;
use ledger::{BookingOutcome, Timestamp};
use ledger_sql::{RowError, Steps, StepsTaken};
use rusqlite::Error;
use std::collections::HashSet;

/// What to publish, whether new or not; and of that, what is new.
pub(super) fn take(
    connection: &Connection,
    steps: &Steps,
    now: Timestamp,
) -> Result<(Vec<BookingOutcome>, Vec<BookingOutcome>), Error> {
    let bookings = steps.bookings();
    let used = if steps.needs_used_tickets() {
        gate::used(connection, &bookings)?
    } else {
        HashSet::new()
    };
    let found = records::read(connection, bookings.into_iter())?;
    let taken = steps.take(found, &used, now).map_err(RowError::from)?;
    let StepsTaken { batch, publish } = taken;
    save(&batch, connection, now)?;
    Ok((publish, batch.new_outcomes()))
}

/// Writes all steps.
fn save(batch: &SettlementBatch, connection: &Connection, now: Timestamp) -> Result<(), Error> {
    for entry in batch.changed(now) {
        records::update(connection, entry)?;
    }
    let (sold, released) = (batch.sold(), batch.released());
    claims::sell(connection, &sold)?;
    gate::issue(connection, &sold)?;
    claims::release(connection, &released, now)?;
    gate::void(connection, &released)?;
    transfers::insert(connection, &batch.transfers())
}
