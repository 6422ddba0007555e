//! A part of a copy: as much of it as one decision reads, for a store that keeps the whole copy
//! elsewhere and writes back what the decision changed.
use super::{AccountSeats, EventSeats, Owner};
use crate::grid::{Grid, SeatState};
use crate::record::HoldRecord;
use crate::store::{CopyRef, Truth};
use ledger::{AccountId, BookingId, BookingOutcome, HoldId, Layout};
use std::collections::HashSet;

/// What a decision reads of a copy. With each hold goes everything that is about it: its account,
/// its keys and the owners of its places; with each place its owner.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub holds: Vec<HoldId>,
    /// Ascending, each once.
    pub places: Vec<u32>,
    pub accounts: Vec<AccountId>,
}

impl Reads {
    /// Of a decision about one hold.
    pub fn of_hold(hold: HoldId) -> Self {
        Self { holds: vec![hold], ..Self::default() }
    }

    /// Of [`EventSeats::unpay`]; `None` when the booking is of no hold.
    pub fn of_unpay(booking: &BookingId) -> Option<Self> {
        booking.hold().map(Self::of_hold)
    }

    /// Of [`EventSeats::apply`].
    pub fn of_outcome(outcome: &BookingOutcome, layout: &Layout) -> Self {
        let booking = &outcome.booking;
        let find = |item: &ledger::BookingItem| layout.find(item.item.as_str());
        Self {
            holds: vec![booking.hold_id.clone()],
            places: sorted(booking.items.iter().filter_map(find).collect()),
            accounts: Vec::new(),
        }
    }

    /// Of [`EventSeats::reload`].
    pub fn of_reload(places: &[(u32, Truth)], layout: &Layout) -> Self {
        let mut reads = Self::default();
        let (mut holds, mut accounts) = (HashSet::new(), HashSet::new());
        for (place, truth) in places {
            reads.places.push(*place);
            match truth {
                Truth::Sold(booking, account) => {
                    holds.extend(booking.hold());
                    accounts.insert(account.clone());
                }
                Truth::Paying(command) => {
                    holds.insert(command.hold_id.clone());
                    accounts.insert(command.account_id.clone());
                    reads.places.extend(HoldRecord::of_command(command, layout).places);
                }
                Truth::Unclaimed(_) => {}
            }
        }
        reads.places = sorted(reads.places);
        reads.holds.extend(holds);
        reads.accounts.extend(accounts);
        reads
    }
}

fn sorted(mut places: Vec<u32>) -> Vec<u32> {
    places.sort_unstable();
    places.dedup();
    places
}

/// What was read. Whatever is not named is free, unknown or empty.
#[derive(Debug, Default)]
pub struct CopyPart {
    pub holds: Vec<HoldRecord>,
    pub owners: Vec<(u32, Owner)>,
    /// Each with the number of its seats and its live holds.
    pub accounts: Vec<(AccountId, u32, Vec<HoldId>)>,
    /// The holds that keys of `lock` stand for.
    pub lock_keys: Vec<(AccountId, String, HoldId)>,
    /// The holds that keys of `book` stand for.
    pub book_keys: Vec<(AccountId, String, HoldId)>,
}

impl EventSeats {
    /// The part as a copy of its own, on which a decision that reads no more than it is the same
    /// as on the whole. It cannot be searched, and has no counts.
    pub fn of_part(at: &CopyRef, part: CopyPart) -> Self {
        let grid = Grid::part(at.event.layout.total());
        let mut seats = Self::on(&at.event, at.generation, grid);
        seats.now = at.now;
        seats.owners = part.owners.into_iter().collect();
        for record in &part.holds {
            if let Some(payment) = record.payment() {
                seats.deadlines.insert((payment.resend_at, record.id.clone()));
            }
            if record.ends_by_itself() {
                seats.ends.insert((record.ends_at(), record.id.clone()));
            }
            seats.live += u64::from(record.is_live());
        }
        seats.holds = part.holds.into_iter().map(|record| (record.id.clone(), record)).collect();
        for (account, count, holds) in part.accounts {
            seats.accounts.insert(account, AccountSeats { seats: count, holds });
        }
        let keyed = |(account, key, hold)| ((account, key), hold);
        seats.keys = part.lock_keys.into_iter().map(keyed).collect();
        seats.book_keys = part.book_keys.into_iter().map(keyed).collect();
        for (place, owner) in &seats.owners {
            let state = match owner {
                Owner::Sold(..) => SeatState::Sold,
                Owner::Hold(id) => match seats.holds.get(id).map(HoldRecord::payment) {
                    Some(Some(_)) => SeatState::Paying,
                    // Of a hold that was not read only this is known: the place is not free.
                    Some(None) | None => SeatState::Held,
                },
            };
            seats.grid.set(*place, state);
        }
        seats
    }

    /// What each place is that somebody has.
    pub fn states(&self) -> impl Iterator<Item = (u32, SeatState)> {
        let state = |place: &u32| Some((*place, self.grid.state(*place)?));
        self.owners.keys().filter_map(state)
    }

    /// The hold that each key of `lock` stands for.
    pub fn lock_keys(&self) -> impl Iterator<Item = (&AccountId, &str, &HoldId)> {
        self.keys.iter().map(|((account, key), hold)| (account, key.as_str(), hold))
    }

    /// The hold that each key of `book` stands for.
    pub fn book_keys(&self) -> impl Iterator<Item = (&AccountId, &str, &HoldId)> {
        self.book_keys.iter().map(|((account, key), hold)| (account, key.as_str(), hold))
    }
}
