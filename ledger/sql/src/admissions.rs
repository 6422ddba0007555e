//! Rows of queues' progress, their steps and their admissions.
use super::{Record, count, known, parsed, time, time_maybe};
use ledger::books::{QueueRecord, QueueStep};
use ledger::{AccountId, Admission, AdmissionSource, QueueId, SlotRef};
use sqlx::Error;

pub fn queue_record(row: &impl Record) -> Result<QueueRecord, Error> {
    Ok(QueueRecord {
        generation: count(row, "generation")?,
        leased_to: count(row, "leased_to")?,
        lease_start: count(row, "lease_start")?,
        now_serving: count(row, "now_serving")?,
        admitted_max: count(row, "admitted_max")?,
    })
}

pub fn step(row: &impl Record) -> Result<QueueStep, Error> {
    Ok(QueueStep {
        now_serving: count(row, "now_serving")?,
        at: time(row, "at")?,
        granting_millis: row.integer("granting_millis")?,
    })
}

pub fn admission(row: &impl Record) -> Result<Admission, Error> {
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
