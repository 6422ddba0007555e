//! Rows of claims as the news that a seat copy reads.
use super::{Record, RowError, parsed, undecodable};
use ledger::books::{Claim, ClaimState, Claims};
use ledger::{AccountId, BookingId, PlaceId};
use std::collections::BTreeSet;

/// What a row says of one place.
pub enum ClaimChange {
    Live(Claim),
    Released(PlaceId),
}

/// A row whose column `live` tells whether nobody released it.
pub fn claim_change(row: &dyn Record) -> Result<ClaimChange, RowError> {
    let place = parsed(row, "place", PlaceId::parse)?;
    if !row.flag("live")? {
        return Ok(ClaimChange::Released(place));
    }
    let booking = parsed(row, "booking_id", BookingId::parse)?;
    let state = match row.text("state")? {
        "paying" => ClaimState::Paying(booking),
        "sold" => ClaimState::Sold(booking),
        other => return Err(undecodable("state", other)),
    };
    let account_id = parsed(row, "account_id", AccountId::parse)?;
    Ok(ClaimChange::Live(Claim { place, account_id, state }))
}

/// The changes of one look.
pub fn changes(rows: Vec<ClaimChange>, revision: u64) -> Claims {
    let mut claims = Claims { revision, ..Claims::default() };
    let mut released = BTreeSet::new();
    for row in rows {
        match row {
            ClaimChange::Live(claim) => claims.live.push(claim),
            ClaimChange::Released(place) => drop(released.insert(place)),
        }
    }
    // A place that was released and claimed again belongs to its new owner.
    let live: BTreeSet<&PlaceId> = claims.live.iter().map(|claim| &claim.place).collect();
    claims.released = released.into_iter().filter(|place| !live.contains(place)).collect();
    claims
}
