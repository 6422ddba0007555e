//! Rows of claims as the news that a seat copy reads.
use super::{Record, RowError, parsed, undecodable};
use ledger::books::{Claim, ClaimState, Claims};
use ledger::{AccountId, BookingId, PlaceId};
use std::collections::BTreeSet;

/// The claims in `rows`, of which the column `live` tells those that nobody released.
pub fn changes<R: Record>(rows: &[R], revision: u64) -> Result<Claims, RowError> {
    let mut claims = Claims { revision, ..Claims::default() };
    let mut released = BTreeSet::new();
    for row in rows {
        if row.flag("live")? {
            claims.live.push(claim(row)?);
        } else {
            released.insert(parsed(row, "place", PlaceId::parse)?);
        }
    }
    // A place that was released and claimed again belongs to its new owner.
    let live: BTreeSet<&PlaceId> = claims.live.iter().map(|claim| &claim.place).collect();
    claims.released = released.into_iter().filter(|place| !live.contains(place)).collect();
    Ok(claims)
}

fn claim(row: &impl Record) -> Result<Claim, RowError> {
    let booking = parsed(row, "booking_id", BookingId::parse)?;
    let state = match row.text("state")? {
        "paying" => ClaimState::Paying(booking),
        "sold" => ClaimState::Sold(booking),
        other => return Err(undecodable("state", other)),
    };
    let place = parsed(row, "place", PlaceId::parse)?;
    Ok(Claim { place, account_id: parsed(row, "account_id", AccountId::parse)?, state })
}
