//! What holders do: lock, release, pay. Each names the hold and the state it expects.
use crate::best;
use crate::event_seats::{EventSeats, Owner};
use crate::record::{HoldRecord, HoldState};
use crate::store::{CopyRef, Find, Lock, Locked, Paid, Pay, Swept};
use crate::{BookTarget, ReleaseAnswer, Wish};
use ledger::{AccountId, BookingId, HoldId, PlaceBooking, SectionId};

impl EventSeats {
    /// `Free → Held`, all places or none.
    pub fn lock(&mut self, at: &CopyRef, request: &Lock) -> Locked {
        let now = self.begin(at);
        if let Some(answer) = self.locked_before(request) {
            return answer;
        }
        let places = match self.choose(at, request) {
            Ok(places) => places,
            Err(answer) => return answer,
        };
        let price = |place: &u32| self.layout.price_of(*place).map_or(0, |price| price.minor);
        let record = HoldRecord {
            id: self.hold_id(request),
            account: request.account.clone(),
            slot: request.slot.clone(),
            prices: places.iter().map(price).collect(),
            places,
            until: now.plus_seconds(at.event.terms.hold_ttl_seconds),
            attempts: 0,
            lock_keys: request.key.iter().cloned().collect(),
            book_keys: Vec::new(),
            state: HoldState::Held,
        };
        self.put(record.clone());
        Locked::Held(Box::new(record))
    }

    /// The key's hold, compared before anything else.
    fn locked_before(&mut self, request: &Lock) -> Option<Locked> {
        let key = request.key.as_ref()?;
        let record = self.keyed(&request.account, &key.key)?;
        if !record.lock_keys.contains(key) {
            return Some(Locked::Mismatch);
        }
        if !record.is_live() {
            return Some(Locked::Expired);
        }
        let record = record.clone();
        self.touch(&record.id);
        Some(Locked::Held(Box::new(record)))
    }

    /// Free places that fulfil the wish and keep the account within its cap.
    fn choose(&mut self, at: &CopyRef, request: &Lock) -> Result<Vec<u32>, Locked> {
        let cap = u64::from(at.event.terms.seats_per_account_max);
        let left = cap.saturating_sub(u64::from(self.seats_of(&request.account)));
        match &request.wish {
            Wish::Places(places) => {
                let places = self.wanted(places, request)?;
                if places.len() as u64 > left { Err(Locked::OverCap) } else { Ok(places) }
            }
            Wish::Best { quantity, .. } if u64::from(*quantity) > left => Err(Locked::OverCap),
            Wish::Best { quantity, section } => {
                let index_of =
                    |id: &SectionId| self.layout.sections().iter().position(|s| s.id == *id);
                let section = match section {
                    Some(id) => Some(index_of(id).ok_or(Locked::SoldOut)?),
                    None => None,
                };
                best::find(&self.grid, *quantity, section).ok_or(Locked::SoldOut)
            }
        }
    }

    /// The wanted places in order if all are free; one's own hold if it has them all.
    fn wanted(&mut self, places: &[u32], request: &Lock) -> Result<Vec<u32>, Locked> {
        let mut places = places.to_vec();
        places.sort_unstable();
        places.dedup();
        let Some(first) = places.first() else { return Err(Locked::SoldOut) };
        if places.iter().all(|place| self.grid.is_free(*place)) {
            return Ok(places);
        }
        let Some(Owner::Hold(id)) = self.owner(*first).cloned() else { return Err(Locked::Taken) };
        let mine = |hold: &HoldRecord| {
            hold.account == request.account
                && places.iter().all(|place| hold.places.contains(place))
        };
        if !self.record(&id).is_some_and(mine) {
            return Err(Locked::Taken);
        }
        self.change(&id, |hold| hold.keep_lock_key(request.key.as_ref()));
        let record = self.record(&id).cloned();
        Err(record.map_or(Locked::Taken, |record| Locked::Held(Box::new(record))))
    }

    fn hold_id(&self, request: &Lock) -> HoldId {
        match &request.key {
            Some(key) => HoldId::of_key(&request.account, &self.event, &key.key, self.generation),
            None => request.minted.clone(),
        }
    }

    /// `Held → Free` by its holder.
    pub fn release(&mut self, at: &CopyRef, id: &HoldId, account: &AccountId) -> ReleaseAnswer {
        self.begin(at);
        let Some(record) = self.record(id).filter(|record| record.is_live()) else {
            return ReleaseAnswer::NotFound;
        };
        if record.account != *account {
            return ReleaseAnswer::NotHolder;
        }
        if record.payment().is_some() {
            return ReleaseAnswer::Paying;
        }
        if let Some(record) = self.take(id) {
            if record.is_remembered() {
                self.put_over(record, None, at.limits);
            } else {
                self.forget(&record);
            }
        }
        ReleaseAnswer::Released
    }

    /// `Held → Paying`, with the whole command; or what came of the hold before.
    pub fn pay(&mut self, at: &CopyRef, request: &Pay) -> Paid {
        let now = self.begin(at);
        if let Some(answer) = self.paid_before(request) {
            return answer;
        }
        let id = match self.target(&request.target, &request.account) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        let Some(record) = self.record(&id) else { return Paid::NotFound };
        if record.account != request.account {
            return Paid::NotHolder;
        }
        match (&record.state, &request.joins) {
            (HoldState::Paying(_), _) => self.join_payment(&id, request, false),
            // It was being paid a moment ago; whoever joins that does not mean to pay once more.
            (HoldState::Held, Some(booking)) => Paid::Before(booking.clone()),
            (HoldState::Held, None) => {
                let begun = self.change(&id, |record| {
                    record.begin_payment(&at.event, request.payment_token.clone(), now);
                    record.keep_key(request.key.as_ref());
                });
                begun.map_or(Paid::NotFound, Paid::Begun)
            }
            (HoldState::Over { bought: Some(booking), .. }, _) => Paid::Before(booking.clone()),
            (HoldState::Over { bought: None, .. }, _) => Paid::Expired,
        }
    }

    /// The key's booking, compared before anything else: whatever the request names and whoever
    /// has the place by now, one key never makes two bookings.
    fn paid_before(&mut self, request: &Pay) -> Option<Paid> {
        let key = request.key.as_ref()?;
        let booked = self.booked(&request.account, &key.key)?;
        if booked.key != key {
            return Some(Paid::Mismatch);
        }
        let id = booked.record.id.clone();
        let booking = BookingId::of_attempt(&id, booked.attempt);
        if !booked.record.is_paying(&booking) {
            return Some(Paid::Before(booking));
        }
        Some(self.join_payment(&id, request, true))
    }

    /// A second `book`: from now on the command cannot be taken back.
    fn join_payment(&mut self, id: &HoldId, request: &Pay, keyed: bool) -> Paid {
        let joined = self.change(id, |record| {
            if let HoldState::Paying(payment) = &mut record.state {
                payment.shared = true;
            }
            let joins = request.joins.as_ref().is_some_and(|booking| record.is_paying(booking));
            if joins && !keyed {
                record.keep_key(request.key.as_ref());
            }
        });
        joined.map_or(Paid::NotFound, |command| Paid::Live { command, keyed })
    }

    /// Changes a record, and returns its command if it is being paid then.
    fn change(
        &mut self,
        id: &HoldId,
        how: impl FnOnce(&mut HoldRecord),
    ) -> Option<Box<PlaceBooking>> {
        let mut record = self.take(id)?;
        how(&mut record);
        let command = record.payment().map(|payment| payment.command.clone());
        self.put(record);
        command
    }

    /// The hold that a book is about; a place that nobody has was held too long ago.
    fn target(&self, target: &BookTarget, account: &AccountId) -> Result<HoldId, Paid> {
        let place = match target {
            BookTarget::Hold(id) => return Ok(id.clone()),
            BookTarget::Place(place) => *place,
        };
        match self.owner(place) {
            Some(Owner::Hold(id)) => Ok(id.clone()),
            Some(Owner::Sold(booking, owner)) if owner == account => {
                let hold = booking.hold().filter(|hold| self.record(hold).is_some());
                hold.ok_or_else(|| Paid::Before(booking.clone()))
            }
            Some(Owner::Sold(..)) => Err(Paid::NotHolder),
            None if self.grid.state(place).is_some() => Err(Paid::Expired),
            None => Err(Paid::NotFound),
        }
    }

    /// `Paying → Held`, for a command that was never appended.
    pub fn unpay(&mut self, at: &CopyRef, booking: &BookingId) -> bool {
        self.begin(at);
        let Some(id) = booking.hold() else { return false };
        let alone = |record: &&HoldRecord| {
            record.is_paying(booking) && record.payment().is_some_and(|payment| !payment.shared)
        };
        if self.record(&id).filter(alone).is_none() {
            return false;
        }
        self.change(&id, HoldRecord::undo_payment);
        true
    }

    /// Frees what expired and leases what is overdue.
    pub fn sweep_all(&mut self, at: &CopyRef, max: usize) -> Swept {
        let ended = self.begin_bounded(at, max);
        let mut overdue = Vec::new();
        while overdue.len() < max
            && let Some(id) = self.first_overdue()
        {
            let next = self.now().plus_seconds(at.event.terms.payment_deadline_seconds.max(1));
            let command = self.change(&id, |record| {
                if let HoldState::Paying(payment) = &mut record.state {
                    payment.resend_at = next;
                    payment.shared = true;
                }
            });
            overdue.extend(command.map(|command| *command));
        }
        Swept { ended, overdue, counts: self.counts(), holds: self.live_holds() }
    }

    pub fn find(&mut self, at: &CopyRef, which: &Find) -> Vec<HoldRecord> {
        self.begin(at);
        match which {
            Find::Hold(id) => self.record(id).cloned().into_iter().collect(),
            Find::Account(account) => self.holds_of(account).cloned().collect(),
            Find::Key { account, key } => self.keyed(account, key).cloned().into_iter().collect(),
        }
    }
}
