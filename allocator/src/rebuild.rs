//! How a lost copy is made again: the record's claims first, then the holds that outlived the loss.
use crate::record::{HoldRecord, HoldState};
use crate::store::{Limits, SeatsCopy};
use ledger::books::{Claim, ClaimState};
use ledger::purchase::Purchase;
use ledger::{AccountId, BookingId, Event, HoldId, SeatEffect, Timestamp};
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

/// The copy that the record and the kept holds, oldest first, agree on; where they do not, the
/// record wins.
pub(crate) fn rebuild(
    event: &Event,
    claims: &[Claim],
    purchases: &HashMap<BookingId, Purchase>,
    kept: Vec<HoldRecord>,
    limits: Limits,
    now: Timestamp,
) -> SeatsCopy {
    let Claimed { sold, mut paying, bought } = Claimed::of(event, claims, purchases);
    let forget_at = now.plus_seconds(limits.key_seconds);
    let (mut unclaimed, mut others) = (Vec::new(), Vec::new());
    for mut record in kept {
        if let Some(claimed) = paying.get_mut(&record.id) {
            *claimed = joined(claimed, record);
            continue;
        }
        if let Some(booking) = bought.get(&record.id)
            && record.is_live()
        {
            record.state = HoldState::Over { bought: Some(booking.clone()), forget_at };
        }
        settle(&mut record, purchases, limits, now);
        if record.payment().is_some() {
            unclaimed.push(record);
        } else {
            others.extend(current(record, now, forget_at));
        }
    }
    // Of two holds on a place the older one was released, and only its row does not say so: the
    // newer one was granted after that.
    let (held, over): (Vec<_>, Vec<_>) = others.into_iter().partition(HoldRecord::is_live);
    // What is being paid comes before what is only held.
    let holds = paying.into_values().chain(unclaimed).chain(over);
    let holds = holds.chain(held.into_iter().rev()).collect();
    SeatsCopy { sold, holds }
}

/// What the record alone knows.
#[derive(Default)]
struct Claimed {
    sold: Vec<(u32, BookingId, AccountId)>,
    paying: HashMap<HoldId, HoldRecord>,
    bought: HashMap<HoldId, BookingId>,
}

impl Claimed {
    fn of(event: &Event, claims: &[Claim], purchases: &HashMap<BookingId, Purchase>) -> Self {
        let mut all = Self::default();
        for claim in claims {
            let Some(place) = event.layout.find(claim.place.as_str()) else {
                tracing::error!(event.id = %event.id, "a claim names a place that is not there");
                continue;
            };
            match &claim.state {
                ClaimState::Sold(booking) => {
                    all.bought.extend(booking.hold().map(|hold| (hold, booking.clone())));
                    all.sold.push((place, booking.clone(), claim.account_id.clone()));
                }
                ClaimState::Paying(booking) => {
                    if let Some(purchase) = purchases.get(booking) {
                        let record = HoldRecord::of_command(&purchase.command, &event.layout);
                        all.paying.insert(record.id.clone(), record);
                    }
                }
            }
        }
        all
    }
}

/// A hold that the record and the hold's own row both know. The record says which booking it
/// pays for; only its row knows until when it was held, and its keys.
fn joined(claimed: &HoldRecord, mut kept: HoldRecord) -> HoldRecord {
    if kept.attempts != claimed.attempts || kept.payment().is_none() {
        kept.state = claimed.state.clone();
        kept.attempts = claimed.attempts;
    }
    kept
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
