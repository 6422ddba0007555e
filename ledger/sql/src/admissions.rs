//! Rows of queues' progress, their steps and their admissions.
use super::{Record, RowError, count, known, parsed, time, time_maybe};
use ledger::books::{QueueRecord, QueueStep};
use ledger::{AccountId, Admission, AdmissionSource, QueueId, SlotRef};

pub fn queue_record(row: &dyn Record) -> Result<QueueRecord, RowError> {
    Ok(QueueRecord {
        generation: count(row, "generation")?,
        leased_to: count(row, "leased_to")?,
        lease_start: count(row, "lease_start")?,
        now_serving: count(row, "now_serving")?,
        admitted_max: count(row, "admitted_max")?,
    })
}

pub fn step(row: &dyn Record) -> Result<QueueStep, RowError> {
    Ok(QueueStep {
        now_serving: count(row, "now_serving")?,
        at: time(row, "at")?,
        granting_millis: row.integer("granting_millis")?,
    })
}

pub fn admission(row: &dyn Record) -> Result<Admission, RowError> {
    let queue = parsed(row, "queue_id", QueueId::parse)?;
    Ok(Admission {
        slot: SlotRef { queue, number: count(row, "number")? },
        account: parsed(row, "account_id", AccountId::parse)?,
        at: time(row, "at")?,
        until: time(row, "until")?,
        ended_at: time_maybe(row, "ended_at")?,
        source: known(row, "source", AdmissionSource::parse)?,
    })
}
