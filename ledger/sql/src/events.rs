//! Rows of events and of the queues in front of them.
use super::{Record, RowError, count, known, narrow, parsed, time};
use ledger::books::LimitsChange;
use ledger::{
    Event, EventId, Layout, Queue, QueueId, QueueSettings, QueueState, SaleTerms, Timestamp,
};
use std::sync::Arc;

/// An event without its layout.
pub struct EventRow {
    pub id: EventId,
    name: String,
    date: String,
    timezone: String,
    venue: String,
    on_sale_at: Timestamp,
    queue_id: QueueId,
    terms: SaleTerms,
    layout_version: u32,
    created_at: Timestamp,
}

impl EventRow {
    pub fn read(row: &dyn Record) -> Result<Self, RowError> {
        Ok(Self {
            id: parsed(row, "id", EventId::parse)?,
            name: row.text("name")?.to_owned(),
            date: row.text("date")?.to_owned(),
            timezone: row.text("timezone")?.to_owned(),
            venue: row.text("venue")?.to_owned(),
            on_sale_at: time(row, "on_sale_at")?,
            queue_id: parsed(row, "queue_id", QueueId::parse)?,
            terms: SaleTerms {
                hold_ttl_seconds: narrow(row, "hold_ttl_seconds")?,
                payment_deadline_seconds: narrow(row, "payment_deadline_seconds")?,
                seats_per_account_max: narrow(row, "seats_per_account_max")?,
            },
            layout_version: narrow(row, "layout_version")?,
            created_at: time(row, "created_at")?,
        })
    }

    pub fn event(self, layout: Arc<Layout>) -> Event {
        Event {
            id: self.id,
            name: self.name,
            date: self.date,
            timezone: self.timezone,
            venue: self.venue,
            on_sale_at: self.on_sale_at,
            queue_id: self.queue_id,
            terms: self.terms,
            layout_version: self.layout_version,
            layout,
            created_at: self.created_at,
        }
    }
}

pub fn queue(row: &dyn Record) -> Result<Queue, RowError> {
    Ok(Queue {
        id: parsed(row, "id", QueueId::parse)?,
        settings: settings(row)?,
        opens_at: time(row, "opens_at")?,
        revision: count(row, "revision")?,
    })
}

pub fn limits(row: &dyn Record) -> Result<LimitsChange, RowError> {
    Ok(LimitsChange { at: time(row, "at")?, settings: settings(row)? })
}

fn settings(row: &dyn Record) -> Result<QueueSettings, RowError> {
    Ok(QueueSettings {
        state: known(row, "state", QueueState::parse)?,
        rate_per_minute: narrow(row, "rate_per_minute")?,
        capacity: narrow(row, "capacity")?,
        claim_window_seconds: narrow(row, "claim_window_seconds")?,
        return_seconds: narrow(row, "return_seconds")?,
        session_seconds: narrow(row, "session_seconds")?,
    })
}
