//! Opening bookings: who gets the places is decided in order, in one transaction.
use super::{claims, records};
use crate::booking::{BookingOutcome, PlaceBooking};
use crate::books::Begun;
use crate::clock::Timestamp;
use crate::ids::{AccountId, BookingId, EventId, PlaceId};
use crate::purchase::{Ground, Opening, Purchase, Step, open};
use sqlx::{Error, SqliteConnection};
use std::collections::{HashMap, HashSet};

/// When the gateway is asked again for a charge that was not answered: well after a usual answer,
/// well before a buyer gives up.
const FIRST_TRY_AFTER_MILLIS: i64 = 2_000;

/// The answers in the order of `batch`, and the outcomes that are new.
pub(super) type Began = (Vec<Begun>, Vec<BookingOutcome>);

pub(super) async fn begin(
    connection: &mut SqliteConnection,
    batch: &[PlaceBooking],
    now: Timestamp,
) -> Result<Began, Error> {
    let mut known = records::read(connection, batch.iter().map(|c| &c.booking_id)).await?;
    let stored: HashSet<BookingId> = known.keys().cloned().collect();
    let open: Vec<_> = batch.iter().filter(|c| may_claim(known.get(&c.booking_id))).collect();
    let mut board = claims::board(connection, &open).await?;
    let mut written = Written::default();
    let begun =
        batch.iter().map(|c| decide(c, &mut known, &mut board, &mut written, now)).collect();
    written.save(connection, &stored, now).await?;
    let new = written.refused.iter().map(|step| step.purchase.outcome()).collect();
    Ok((begun, new))
}

/// Live claims and counts as they are, and as this batch changes them.
#[derive(Default)]
pub(super) struct Board {
    pub(super) owners: HashMap<(EventId, PlaceId), BookingId>,
    pub(super) seats: HashMap<(EventId, AccountId), u32>,
}

/// What one batch has to write.
#[derive(Default)]
struct Written {
    submitted: Vec<Purchase>,
    claims: Vec<(PlaceId, usize)>,
    refused: Vec<Step>,
}

fn may_claim(known: Option<&Purchase>) -> bool {
    known.is_none_or(|p| !p.status.is_terminal() && !p.awaits_gateway())
}

fn decide(
    command: &PlaceBooking,
    known: &mut HashMap<BookingId, Purchase>,
    board: &mut Board,
    written: &mut Written,
    now: Timestamp,
) -> Begun {
    let before = known.get(&command.booking_id).cloned();
    match open(before, command, now, || board.ground(command)) {
        Opening::Submit(purchase) => {
            let index = written.submitted.len();
            let places = board.claim(command).into_iter().map(|place| (place, index));
            written.claims.extend(places);
            written.submitted.push(purchase.clone());
            known.insert(command.booking_id.clone(), purchase.clone());
            Begun::Charge(Box::new(purchase))
        }
        Opening::Resolve(purchase) => Begun::Resolve(Box::new(purchase)),
        Opening::Refuse(step) => {
            let outcome = step.purchase.outcome();
            known.insert(command.booking_id.clone(), step.purchase.clone());
            written.refused.push(step);
            Begun::Ended(Box::new(outcome))
        }
        Opening::Over(purchase) => Begun::Ended(Box::new(purchase.outcome())),
    }
}

impl Board {
    fn ground(&self, command: &PlaceBooking) -> Ground {
        let mut own = HashSet::new();
        let mut missing: u32 = 0;
        for item in &command.items {
            let place = (command.event_id.clone(), item.item.clone());
            match self.owners.get(&place) {
                Some(owner) if *owner != command.booking_id => return Ground::Taken,
                Some(_) => {}
                None => missing = missing.saturating_add(1),
            }
            // A place asked for twice can be had only once.
            if !own.insert(&item.item) {
                return Ground::Taken;
            }
        }
        let account = (command.event_id.clone(), command.account_id.clone());
        let seats = self.seats.get(&account).copied().unwrap_or(0).saturating_add(missing);
        if seats > command.seats_per_account_max { Ground::OverCap } else { Ground::Clear }
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
        let account = (command.event_id.clone(), command.account_id.clone());
        let seats = self.seats.entry(account).or_default();
        *seats = seats.saturating_add(u32::try_from(taken.len()).unwrap_or(u32::MAX));
        taken
    }
}

impl Written {
    async fn save(
        &self,
        connection: &mut SqliteConnection,
        stored: &HashSet<BookingId>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let first_try = Some(now.plus_millis(FIRST_TRY_AFTER_MILLIS));
        let submitted = self.submitted.iter().map(|p| (p, first_try));
        let refused = self.refused.iter().map(|step| (&step.purchase, None));
        let (old, new): (Vec<_>, Vec<_>) = submitted
            .chain(refused)
            .partition(|(purchase, _)| stored.contains(&purchase.command.booking_id));
        records::insert(connection, &new).await?;
        records::update(connection, &old).await?;
        claims::insert(connection, &self.submitted, &self.claims).await?;
        // Only a record that was there before can have claims to give back.
        let released: Vec<&BookingId> = self
            .refused
            .iter()
            .map(|step| &step.purchase.command.booking_id)
            .filter(|id| stored.contains(*id))
            .collect();
        claims::release(connection, &released, now).await
    }
}
