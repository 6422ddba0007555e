//! How a lost copy is made again: the record's claims first, then the holds that outlived the loss.
use crate::record::{HoldRecord, HoldState};
use crate::store::{Limits, SeatsCopy};
use ledger::books::{Claim, ClaimState};
use ledger::purchase::Purchase;
use ledger::{BookingId, Event, HoldId, SeatEffect, Timestamp};
use std::collections::{HashMap, HashSet};

/// Bookings whose purchase [`rebuild`] wants to see: all that somebody is paying.
pub(crate) fn paying(claims: &[Claim], kept: &[HoldRecord]) -> HashSet<BookingId> {
    let claimed = claims.iter().filter_map(|claim| match &claim.state {
        ClaimState::Paying(booking) => Some(booking.clone()),
        ClaimState::Sold(_) => None,
    });
    let held = kept.iter().filter_map(HoldRecord::payment);
    claimed.chain(held.map(|payment| payment.command.booking_id.clone())).collect()
}

/// The copy that the record and the kept holds agree on; where they do not, the record wins.
pub(crate) fn rebuild(
    event: &Event,
    claims: &[Claim],
    purchases: &HashMap<BookingId, Purchase>,
    kept: Vec<HoldRecord>,
    limits: Limits,
    now: Timestamp,
) -> SeatsCopy {
    let mut copy = SeatsCopy::default();
    let mut claimed: HashMap<HoldId, HoldRecord> = HashMap::new();
    let mut bought: HashMap<HoldId, BookingId> = HashMap::new();
    for claim in claims {
        let Some(place) = event.layout.find(claim.place.as_str()) else {
            tracing::error!(event.id = %event.id, "a claim names a place that is not there");
            continue;
        };
        match &claim.state {
            ClaimState::Sold(booking) => {
                bought.extend(booking.hold().map(|hold| (hold, booking.clone())));
                copy.sold.push((place, booking.clone(), claim.account_id.clone()));
            }
            ClaimState::Paying(booking) => {
                if let Some(purchase) = purchases.get(booking) {
                    let record = HoldRecord::of_command(&purchase.command, &event.layout);
                    claimed.insert(record.id.clone(), record);
                }
            }
        }
    }
    let forget_at = now.plus_seconds(limits.key_seconds);
    let mut others = Vec::new();
    for mut record in kept {
        if let Some(by_record) = claimed.get_mut(&record.id) {
            // The record says that it is being paid, and by which booking; only the hold itself
            // knows until when it was held, and its keys.
            let same = by_record.attempts == record.attempts && record.payment().is_some();
            if !same {
                record.state = by_record.state.clone();
                record.attempts = by_record.attempts;
            }
            *by_record = record;
            continue;
        }
        if let Some(booking) = bought.get(&record.id)
            && record.is_live()
        {
            record.state = HoldState::Over { bought: Some(booking.clone()), forget_at };
        }
        settle(&mut record, purchases, limits, now);
        others.push(record);
    }
    copy.holds.extend(claimed.into_values());
    // What is being paid comes before what is only held.
    let (paying, held): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|record| record.payment().is_some());
    copy.holds.extend(paying);
    copy.holds.extend(held.into_iter().filter_map(|record| current(record, now, forget_at)));
    copy
}

/// Applies what the books have decided about a hold that is being paid without a live claim.
fn settle(
    record: &mut HoldRecord,
    purchases: &HashMap<BookingId, Purchase>,
    limits: Limits,
    now: Timestamp,
) {
    let booking = record.payment().map(|payment| &payment.command.booking_id);
    let Some(purchase) = booking.and_then(|booking| purchases.get(booking)) else { return };
    let forget_at = now.plus_seconds(limits.key_seconds);
    match purchase.outcome().seat_effect() {
        // A sale of which the claims did not know yet is read again right after the load.
        SeatEffect::Keep | SeatEffect::Sold => {}
        SeatEffect::Held => {
            record.decline(now.plus_seconds(limits.declined_hold_seconds), forget_at);
        }
        SeatEffect::Free => record.state = HoldState::Over { bought: None, forget_at },
    }
}

/// What a hold that is not being paid has become while nobody looked.
fn current(mut record: HoldRecord, now: Timestamp, forget_at: Timestamp) -> Option<HoldRecord> {
    match record.state {
        HoldState::Held if now < record.until => Some(record),
        HoldState::Held if record.is_remembered() => {
            record.state = HoldState::Over { bought: None, forget_at };
            Some(record)
        }
        HoldState::Held => None,
        HoldState::Paying(_) => Some(record),
        HoldState::Over { forget_at, .. } => (now < forget_at).then_some(record),
    }
}
