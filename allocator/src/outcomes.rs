//! What the payment decided, and what the record says when that does not fit.
use crate::event_seats::{EventSeats, Owner};
use crate::record::{HoldRecord, HoldState};
use crate::store::{Applied, CopyRef, SeatsCopy, Truth};
use ledger::{AccountId, Booking, BookingId, BookingOutcome, HoldId, SeatEffect};

impl EventSeats {
    /// `Paying → Sold | Held | Free`, `Sold → Free`; each names the booking it expects there.
    pub fn apply(&mut self, at: &CopyRef, outcome: &BookingOutcome) -> Applied {
        self.begin(at);
        let booking = &outcome.booking;
        let paying = self.record(&booking.hold_id).is_some_and(|hold| hold.is_paying(&booking.id));
        match outcome.seat_effect() {
            SeatEffect::Keep => Applied::Already,
            SeatEffect::Sold if paying => self.confirm(at, booking),
            SeatEffect::Sold if self.is_sold_by(booking) => Applied::Already,
            SeatEffect::Sold => Applied::Unexpected,
            SeatEffect::Held if paying => self.decline(at, booking),
            SeatEffect::Held if self.knows_attempt(booking) => Applied::Already,
            SeatEffect::Held => Applied::Unexpected,
            SeatEffect::Free if paying => {
                self.end(at, &booking.hold_id, None);
                Applied::Done
            }
            SeatEffect::Free => self.unsell(booking),
        }
    }

    fn confirm(&mut self, at: &CopyRef, booking: &Booking) -> Applied {
        let whole = self.record(&booking.hold_id).is_some_and(|hold| self.owns_all(hold));
        if !whole {
            return Applied::Unexpected;
        }
        if let Some(record) = self.take(&booking.hold_id) {
            for place in &record.places {
                self.sell(*place, &booking.id, &record.account);
            }
            self.put_over(record, Some(booking.id.clone()), at.limits);
        }
        Applied::Done
    }

    fn decline(&mut self, at: &CopyRef, booking: &Booking) -> Applied {
        if let Some(mut record) = self.take(&booking.hold_id) {
            let until = self.now().plus_seconds(at.limits.declined_hold_seconds);
            record.decline(until, self.forget_at(&record, at.limits));
            self.put(record);
        }
        Applied::Done
    }

    /// The hold has seen this attempt end, or it has gone since.
    fn knows_attempt(&self, booking: &Booking) -> bool {
        let record = self.record(&booking.hold_id);
        record.is_some_and(|hold| hold.attempts >= booking.attempt) && !self.is_sold_by(booking)
    }

    fn is_sold_by(&self, booking: &Booking) -> bool {
        !booking.items.is_empty()
            && self.places_of(booking).all(
                |place| matches!(self.owner(place), Some(Owner::Sold(by, _)) if *by == booking.id),
            )
    }

    /// `Sold → Free`, of those places that this booking bought.
    fn unsell(&mut self, booking: &Booking) -> Applied {
        let places: Vec<u32> = self.places_of(booking).collect();
        let mut done = Applied::Already;
        for place in places {
            if let Some(Owner::Sold(by, account)) = self.owner(place).cloned()
                && by == booking.id
            {
                self.vacate(place, &account);
                done = Applied::Done;
            }
        }
        done
    }

    fn places_of(&self, booking: &Booking) -> impl Iterator<Item = u32> {
        booking.items.iter().filter_map(|item| self.layout.find(item.item.as_str()))
    }

    fn end(&mut self, at: &CopyRef, id: &HoldId, bought: Option<BookingId>) {
        if let Some(record) = self.take(id) {
            self.put_over(record, bought, at.limits);
        }
    }

    /// A live claim wins over what is there; without one only a state that names the
    /// booking that lost its claim is freed.
    pub fn reload(&mut self, at: &CopyRef, places: &[(u32, Truth)]) {
        self.begin(at);
        for (place, truth) in places {
            match truth {
                Truth::Sold(booking, account) => self.reload_sold(at, *place, booking, account),
                Truth::Paying(command) => self.reload_paying(at, *place, command),
                Truth::Unclaimed(booking) => self.reload_unclaimed(at, *place, booking),
            }
        }
    }

    fn reload_sold(&mut self, at: &CopyRef, place: u32, booking: &BookingId, account: &AccountId) {
        if matches!(self.owner(place), Some(Owner::Sold(by, _)) if by == booking) {
            return;
        }
        // The booking's own hold, if it still has places, has done its work.
        let own = |hold: &HoldRecord| {
            let other =
                |payment: &crate::record::HoldPayment| payment.command.booking_id != *booking;
            hold.is_live() && !hold.payment().is_some_and(other)
        };
        if let Some(id) = booking.hold()
            && self.record(&id).is_some_and(own)
        {
            self.end(at, &id, Some(booking.clone()));
        }
        self.evict(at, place);
        if self.grid.is_free(place) {
            self.sell(place, booking, account);
        }
    }

    fn reload_paying(&mut self, at: &CopyRef, place: u32, command: &ledger::PlaceBooking) {
        if matches!(self.owner(place), Some(Owner::Hold(id)) if *id == command.hold_id)
            && self.record(&command.hold_id).is_some_and(|hold| hold.is_paying(&command.booking_id))
        {
            return;
        }
        self.evict(at, place);
        let record = match self.take(&command.hold_id) {
            // Whatever the hold was before, it is being paid by this booking; its keys stay.
            Some(known) if !known.is_paying(&command.booking_id) => HoldRecord {
                lock_keys: known.lock_keys,
                book_keys: known.book_keys,
                ..HoldRecord::of_command(command, &self.layout)
            },
            Some(known) => known,
            None => HoldRecord::of_command(command, &self.layout),
        };
        self.put(record);
    }

    fn reload_unclaimed(&mut self, at: &CopyRef, place: u32, booking: &BookingId) {
        match self.owner(place).cloned() {
            Some(Owner::Sold(by, account)) if by == *booking => self.vacate(place, &account),
            Some(Owner::Hold(id)) if self.record(&id).is_some_and(|h| h.is_paying(booking)) => {
                self.end(at, &id, None);
            }
            Some(Owner::Sold(..) | Owner::Hold(_)) | None => {}
        }
    }

    /// Takes a place from whoever has it here. A hold loses all its places or none; one that is
    /// being paid goes on with the others until its outcome comes.
    fn evict(&mut self, at: &CopyRef, place: u32) {
        match self.owner(place).cloned() {
            Some(Owner::Sold(_, account)) => self.vacate(place, &account),
            Some(Owner::Hold(id)) => {
                let Some(record) = self.record(&id) else { return };
                match record.state {
                    HoldState::Held | HoldState::Over { .. } => self.end(at, &id, None),
                    HoldState::Paying(_) => {
                        let account = record.account.clone();
                        self.vacate(place, &account);
                    }
                }
            }
            None => {}
        }
    }

    /// A whole copy from the record. See [`SeatsCopy`] for who comes first.
    pub fn of_copy(at: &CopyRef, copy: SeatsCopy) -> Self {
        let mut seats = Self::new(&at.event, at.generation);
        seats.begin(at);
        for (place, booking, account) in &copy.sold {
            if seats.grid.is_free(*place) {
                seats.sell(*place, booking, account);
            }
        }
        for record in copy.holds {
            let fits = record.places.iter().all(|place| seats.grid.is_free(*place));
            if fits || record.state != HoldState::Held {
                seats.put(record);
            } else if record.is_remembered() {
                seats.put_over(record, None, at.limits);
            }
        }
        seats.begin(at);
        seats
    }
}
