//! Opening a batch of bookings in order, against what the record says of the places they want.
use super::Entry;
use super::{Opening, Purchase, SeatAvailability, Step, open};
use crate::booking::{BookingOutcome, BookingStatus, PlaceBooking};
use crate::books::Begun;
use crate::clock::Timestamp;
use crate::ids::{AccountId, BookingId, EventId, PlaceId};
use std::collections::{HashMap, HashSet};

/// When the gateway is asked again for a charge that was not answered: well after a usual answer,
/// well before a buyer gives up.
const FIRST_TRY_AFTER_MILLIS: i64 = 2_000;

/// A place of an event.
pub type PlaceKey = (EventId, PlaceId);

/// What the cap is counted on.
pub type SeatsKey = (EventId, AccountId);

/// Live claims and counts as they are, and as this batch changes them.
#[derive(Debug, Clone, Default)]
pub struct ClaimsSnapshot {
    pub owners: HashMap<PlaceKey, BookingId>,
    pub seats: HashMap<SeatsKey, u32>,
}

/// What a batch came to, and what has to be written of it.
#[derive(Default)]
pub struct Opened {
    /// The answers in the order of the batch.
    pub begun: Vec<Begun>,
    submitted: Vec<Purchase>,
    /// Places to claim, each for the submitted purchase at its index.
    places: Vec<(PlaceId, usize)>,
    refused: Vec<Step>,
}

/// True when the batch may still get places for it.
pub fn may_claim(known: Option<&Purchase>) -> bool {
    known.is_none_or(|p| p.status == BookingStatus::Processing && !p.awaits_gateway())
}

pub fn seats_key(command: &PlaceBooking) -> SeatsKey {
    (command.event_id.clone(), command.account_id.clone())
}

/// Decides who gets the places, in order. `known` are the records that exist already.
pub fn open_batch(
    batch: &[PlaceBooking],
    mut known: HashMap<BookingId, Purchase>,
    mut snapshot: ClaimsSnapshot,
    now: Timestamp,
) -> Opened {
    let mut opened = Opened::default();
    for command in batch {
        let before = known.get(&command.booking_id).cloned();
        let begun = opened.decide(open(before, command, now, || snapshot.availability(command)));
        if let Some(purchase) = &begun.1 {
            known.insert(command.booking_id.clone(), purchase.clone());
        }
        if let Begun::Charge(_) = begun.0 {
            let index = opened.submitted.len().saturating_sub(1);
            let places = snapshot.claim(command).into_iter().map(|place| (place, index));
            opened.places.extend(places);
        }
        opened.begun.push(begun.0);
    }
    opened
}

impl Opened {
    /// The answer, and the record as it is to be written.
    fn decide(&mut self, opening: Opening) -> (Begun, Option<Purchase>) {
        match opening {
            Opening::Submit(purchase) => {
                self.submitted.push(purchase.clone());
                (Begun::Charge(Box::new(purchase.clone())), Some(purchase))
            }
            Opening::Resolve(purchase) => (Begun::Resolve(Box::new(purchase)), None),
            Opening::Refuse(step) => {
                let purchase = step.purchase.clone();
                self.refused.push(step);
                (Begun::Ended(Box::new(purchase.outcome())), Some(purchase))
            }
            Opening::Over(purchase) => (Begun::Ended(Box::new(purchase.outcome())), None),
        }
    }

    /// The records to be written, each with the time of its first try.
    pub fn entries(&self, now: Timestamp) -> impl Iterator<Item = Entry<'_>> {
        let first_try = Some(now.plus_millis(FIRST_TRY_AFTER_MILLIS));
        let submitted = self.submitted.iter().map(move |purchase| (purchase, first_try));
        submitted.chain(self.refused.iter().map(|step| (&step.purchase, None)))
    }

    /// Places to claim, each with the command that gets it.
    pub fn claims(&self) -> impl Iterator<Item = (&PlaceId, &PlaceBooking)> {
        let of = |index: &usize| self.submitted.get(*index).map(|purchase| &purchase.command);
        self.places.iter().filter_map(move |(place, index)| Some((place, of(index)?)))
    }

    /// Bookings that end here; only a record that was there before can have claims to give back.
    pub fn refused(&self) -> impl Iterator<Item = &Purchase> {
        self.refused.iter().map(|step| &step.purchase)
    }

    /// What outsiders must hear of.
    pub fn new_outcomes(&self) -> Vec<BookingOutcome> {
        self.refused.iter().map(|step| step.purchase.outcome()).collect()
    }
}

impl ClaimsSnapshot {
    fn availability(&self, command: &PlaceBooking) -> SeatAvailability {
        let mut own = HashSet::new();
        let mut missing: u32 = 0;
        for item in &command.items {
            let place = (command.event_id.clone(), item.item.clone());
            match self.owners.get(&place) {
                Some(owner) if *owner != command.booking_id => return SeatAvailability::Taken,
                Some(_) => {}
                None => missing = missing.saturating_add(1),
            }
            // A place asked for twice can be had only once.
            if !own.insert(&item.item) {
                return SeatAvailability::Taken;
            }
        }
        let seats = self.seats.get(&seats_key(command)).copied().unwrap_or(0);
        let over = seats.saturating_add(missing) > command.seats_per_account_max;
        if over { SeatAvailability::OverCap } else { SeatAvailability::Available }
    }

    /// Takes what the booking has not got yet, and returns it.
    fn claim(&mut self, command: &PlaceBooking) -> Vec<PlaceId> {
        let mut taken = Vec::with_capacity(command.items.len());
        for item in &command.items {
            let place = (command.event_id.clone(), item.item.clone());
            if self.owners.insert(place, command.booking_id.clone()).is_none() {
                taken.push(item.item.clone());
            }
        }
        let seats = self.seats.entry(seats_key(command)).or_default();
        *seats = seats.saturating_add(u32::try_from(taken.len()).unwrap_or(u32::MAX));
        taken
    }
}
