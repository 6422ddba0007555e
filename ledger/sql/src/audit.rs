//! Rows that only the audit reads.
use super::{Record, RowError, count, known, parsed, time_maybe};
use ledger::books::{ClaimRecord, SeatCount};
use ledger::{AccountId, BookingId, EventId, PlaceId};

pub fn claim_record(row: &impl Record) -> Result<ClaimRecord, RowError> {
    Ok(ClaimRecord {
        event_id: parsed(row, "event_id", EventId::parse)?,
        place: parsed(row, "place", PlaceId::parse)?,
        booking_id: parsed(row, "booking_id", BookingId::parse)?,
        account_id: parsed(row, "account_id", AccountId::parse)?,
        sold: known(row, "state", |state| match state {
            "paying" => Some(false),
            "sold" => Some(true),
            _ => None,
        })?,
        released_at: time_maybe(row, "released_at")?,
    })
}

pub fn seat_count(row: &impl Record) -> Result<SeatCount, RowError> {
    Ok(SeatCount {
        event_id: parsed(row, "event_id", EventId::parse)?,
        account_id: parsed(row, "account_id", AccountId::parse)?,
        seats: count(row, "seats")?,
    })
}
