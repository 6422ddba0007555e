//! Decisions that are made in Rust: read the part of the copy that one needs, let the pure core
//! decide, and write back what changed if everything that was read is unchanged.
//!
//! What is compared is every field that the core could read: the holds, the owners of places, the
//! accounts and the keys. So two decisions conflict only when they are about the same hold, place
//! or account, and the loser reads and decides again.
mod change;
mod view;

use crate::RedisSeatStore;
use crate::reply::{Reply, read, unexpected_reply};
use allocator::backend::{EventSeats, Reads};
use allocator::store::{CopyRef, Truth};
use change::{Before, Change};
use ledger::{Fenced, StoreError};
use std::borrow::Cow;
use std::collections::HashMap;
use view::View;

/// How often a decision is made again because something else came between.
const TRIES_MAX: u32 = 32;
/// Places about which one decision is made: with more, others would come between every time.
const PLACES_MAX: usize = 256;

impl RedisSeatStore {
    /// Nothing of a decision is written, or all of it.
    pub(crate) async fn decide<T>(
        &self,
        at: &CopyRef,
        reads: &Reads,
        decision: impl Fn(&mut EventSeats, &CopyRef) -> T,
    ) -> Result<Fenced<T>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        for _ in 0..TRIES_MAX {
            let mut args = self.first_args(at);
            view::add_reads(reads, wire, &mut args);
            let reply = self.call(at, &known, &self.scripts.view, args).await;
            let reply = reply.map_err(nothing_changed)?;
            let Fenced::Is(view) = read(reply, View::of)? else { return Ok(Fenced::Lost) };
            let at = CopyRef { now: view.now, ..at.clone() };
            let mut seats = EventSeats::of_part(&at, view.part(wire)?);
            let before = Before::of(&seats);
            let answer = decision(&mut seats, &at);
            let change = Change::of(&view, &before, &seats, wire);
            if change.is_empty() {
                return Ok(Fenced::Is(answer));
            }
            let mut args = self.first_args(&at);
            change.args(&view, &mut args);
            let reply = self.call(&at, &known, &self.scripts.commit, args).await?;
            match read(reply, Reply::whole)? {
                Fenced::Is(1) => return Ok(Fenced::Is(answer)),
                Fenced::Is(0) => {}
                Fenced::Is(_) => return Err(unexpected_reply()),
                Fenced::Lost => return Ok(Fenced::Lost),
            }
        }
        Err(StoreError::unavailable(crate::DOING, "what was read kept changing"))
    }
}

/// The reply to a read was lost: nothing was decided, so the call may be made again.
fn nothing_changed(error: StoreError) -> StoreError {
    match error {
        StoreError::Unknown { doing, source } => StoreError::Unavailable { doing, source },
        error => error,
    }
}

/// Places in so many decisions that none is about too many. A booking's are never parted: all of
/// them change at once, or none.
pub(crate) fn pieces(places: &[(u32, Truth)]) -> Vec<Cow<'_, [(u32, Truth)]>> {
    if places.len() <= PLACES_MAX {
        return vec![Cow::Borrowed(places)];
    }
    let (mut order, mut bookings) = (Vec::new(), HashMap::<_, Vec<_>>::new());
    for (place, truth) in places {
        let of_booking = bookings.entry(truth.booking()).or_default();
        if of_booking.is_empty() {
            order.push(truth.booking());
        }
        of_booking.push((*place, truth.clone()));
    }
    let mut pieces: Vec<Vec<(u32, Truth)>> = vec![Vec::new()];
    for booking in order {
        let Some(places) = bookings.remove(booking) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.len() + places.len() <= PLACES_MAX => piece.extend(places),
            Some(_) | None => pieces.push(places),
        }
    }
    pieces.into_iter().map(Cow::Owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::BookingId;

    #[test]
    fn a_bookings_places_are_decided_together() {
        let booking = |n: u32| BookingId::parse(&format!("bkg_{n}")).unwrap();
        // Each booking has two places, far from each other.
        let place = |n: u32| (n, Truth::Unclaimed(booking(n % 500)));
        let places: Vec<_> = (0..1_000).map(place).collect();
        assert_eq!(pieces(&places[..10]).len(), 1);
        let found = pieces(&places);
        assert!(found.iter().all(|piece| piece.len() <= PLACES_MAX));
        let mut all: Vec<u32> = Vec::new();
        for piece in &found {
            for (place, truth) in piece.iter() {
                let other = (place + 500) % 1_000;
                assert!(piece.contains(&(other, truth.clone())), "{place} and {other}");
                all.push(*place);
            }
        }
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        assert_eq!(pieces(&[]).len(), 1, "also nothing is answered by the copy");
    }
}
