//! Rows that only the audit reads.
use super::{Record, RowError, count, known, parsed, time_maybe};
use ledger::books::{ClaimRecord, SeatCount};
use ledger::{AccountId, BookingId, Cursor, EventId, PlaceId};

pub fn claim_record(row: &dyn Record) -> Result<ClaimRecord, RowError> {
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

pub fn seat_count(row: &dyn Record) -> Result<SeatCount, RowError> {
    Ok(SeatCount {
        event_id: parsed(row, "event_id", EventId::parse)?,
        account_id: parsed(row, "account_id", AccountId::parse)?,
        seats: count(row, "seats")?,
    })
}

/// The row after which a page in the order of recording starts, and one row more than it has.
pub fn rows_after(cursor: &Cursor) -> (i64, i64) {
    let after = cursor.after.as_ref().and_then(|mark| mark.parse().ok()).unwrap_or(0);
    (after, i64::from(cursor.limit).saturating_add(1))
}
