//! Who owns what: one owner a seat (I1), caps (I13), all of a booking's seats or none (I14).
use super::evidence::{SeatCopy, SeatCopyState};
use super::finding::{Finding, Invariant};
use super::record::{Record, overdue};
use super::tally::Tally;
use crate::booking::BookingStatus;
use crate::books::ClaimRecord;
use crate::clock::Timestamp;
use crate::ids::{AccountId, BookingId, EventId, PlaceId};
use crate::purchase::Purchase;
use std::collections::{BTreeMap, HashMap};

type Seat<'a> = (&'a EventId, &'a PlaceId);

/// I1: no seat has two live claims, nor two bookings that keep it; the seat store agrees.
pub(super) fn one_owner(record: &Record, copies: &[SeatCopy], now: Timestamp) -> Finding {
    let mut tally = Tally::default();
    let mut claimed: BTreeMap<Seat<'_>, Vec<&BookingId>> = BTreeMap::new();
    for claim in live(record) {
        let seat = (&claim.event_id, &claim.place);
        claimed.entry(seat).or_default().push(&claim.booking_id);
    }
    let mut kept: BTreeMap<Seat<'_>, Vec<&BookingId>> = BTreeMap::new();
    for (id, purchase) in record.purchases.iter().filter(|(_, p)| keeps(p)) {
        for item in &purchase.command.items {
            kept.entry((&purchase.command.event_id, &item.item)).or_default().push(id);
        }
    }
    for seat in kept.keys() {
        claimed.entry(*seat).or_default();
    }
    for ((event, place), claims) in &claimed {
        tally.look();
        let bookings = kept.get(&(*event, *place)).map_or(&[][..], Vec::as_slice);
        for (owners, how) in [(claims.as_slice(), "claimed"), (bookings, "kept")] {
            // Pages of a store that goes on changing may show a seat's old and its new owner.
            let resting = owners.iter().filter(|id| !record.is_moving(id)).count();
            tally.demand(resting <= 1, || format!("{event} {place} is {how} by {}", list(owners)));
        }
    }
    for copy in copies {
        copy_agrees(record, copy, now, &mut tally);
    }
    tally.finding(Invariant::I1, "seats")
}

/// Outcomes reach the seat store a while after the record: only what is settled must agree.
fn copy_agrees(record: &Record, copy: &SeatCopy, now: Timestamp, tally: &mut Tally) {
    let of_event = live(record).filter(|claim| claim.event_id == copy.event);
    let claims: HashMap<&PlaceId, &ClaimRecord> = of_event.map(|c| (&c.place, c)).collect();
    let settled = |id: &BookingId| {
        let purchase = record.purchases.get(id);
        !record.is_moving(id) && purchase.is_some_and(|p| overdue(p.updated_at, now))
    };
    for (place, state) in &copy.seats {
        let sold_to = claims.get(place).filter(|claim| claim.sold).map(|claim| &claim.booking_id);
        let agrees = match state {
            SeatCopyState::Sold(id) => sold_to == Some(id) || !settled(sold_to.unwrap_or(id)),
            SeatCopyState::Paying(id) => {
                let over = |p: &Purchase| p.status != BookingStatus::Processing;
                !(settled(id) && record.purchases.get(id).is_some_and(over))
            }
            SeatCopyState::Free | SeatCopyState::Held | SeatCopyState::Blocked => {
                !sold_to.is_some_and(settled)
            }
        };
        tally.demand(agrees, || format!("the seat store disagrees on {} {place}", copy.event));
    }
}

/// I13: no account has more seats of an event than the cap of its bookings allows.
pub(super) fn caps_hold(record: &Record) -> Finding {
    let mut tally = Tally::default();
    let moving = record.moving_accounts();
    let mut accounts: BTreeMap<(&EventId, &AccountId), (u64, u64)> = BTreeMap::new();
    for claim in live(record) {
        let cap = record
            .purchases
            .get(&claim.booking_id)
            .map_or(0, |purchase| u64::from(purchase.command.seats_per_account_max));
        let (seats, most) = accounts.entry((&claim.event_id, &claim.account_id)).or_default();
        *seats = seats.saturating_add(1);
        *most = cap.max(*most);
    }
    let counts: HashMap<_, u64> =
        record.seat_counts.iter().map(|c| ((&c.event_id, &c.account_id), c.seats)).collect();
    for key in counts.keys() {
        accounts.entry(*key).or_default();
    }
    for ((event, account), (seats, cap)) in accounts {
        if moving.contains(&(event, account)) {
            continue;
        }
        tally.look();
        tally.demand(seats <= cap, || {
            format!("{account} has {seats} seats of {event}, the cap was {cap}")
        });
        let counted = counts.get(&(event, account)).copied().unwrap_or(0);
        tally.demand(seats == counted, || {
            format!("{account} has {seats} seats of {event}, but {counted} are counted")
        });
    }
    tally.finding(Invariant::I13, "accounts")
}

/// I14: a booking that keeps its seats, or may still, has a live claim on each; any other on none.
pub(super) fn all_or_nothing(record: &Record) -> Finding {
    let mut tally = Tally::default();
    let mut claims: HashMap<&BookingId, Vec<&ClaimRecord>> = HashMap::new();
    for claim in live(record) {
        claims.entry(&claim.booking_id).or_default().push(claim);
        let known = record.purchases.contains_key(&claim.booking_id);
        let (place, booking) = (&claim.place, &claim.booking_id);
        tally.demand(known, || format!("{place} is claimed by {booking}, which does not exist"));
    }
    for (id, purchase) in record.resting() {
        tally.look();
        let live = claims.get(id).map_or(&[][..], Vec::as_slice);
        let sold = match purchase.status {
            BookingStatus::Confirmed => true,
            BookingStatus::Processing if purchase.awaits_gateway() => false,
            BookingStatus::Processing
            | BookingStatus::Declined
            | BookingStatus::SeatLost
            | BookingStatus::OverCap
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::RefundPending
            | BookingStatus::Refunded => {
                let status = purchase.status.as_str();
                let count = live.len();
                tally.demand(live.is_empty(), || format!("{id} is {status}, with {count} claims"));
                continue;
            }
        };
        let items = &purchase.command.items;
        let has = |place: &PlaceId| live.iter().any(|c| c.place == *place && c.sold == sold);
        let whole = live.len() == items.len() && items.iter().all(|item| has(&item.item));
        tally
            .demand(whole, || format!("{id} has {} claims for {} places", live.len(), items.len()));
    }
    tally.finding(Invariant::I14, "bookings")
}

fn live(record: &Record) -> impl Iterator<Item = &ClaimRecord> {
    record.claims.iter().filter(|claim| claim.released_at.is_none())
}

fn keeps(purchase: &Purchase) -> bool {
    purchase.status == BookingStatus::Confirmed
}

fn list(bookings: &[&BookingId]) -> String {
    let names: Vec<&str> = bookings.iter().map(|id| id.as_str()).collect();
    names.join(" and ")
}
