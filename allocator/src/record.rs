//! A hold as the seat store keeps it: also while it is paid, and a while after it is over.
use crate::{Keyed, SeatHold};
use ledger::{
    ATTEMPTS_MAX, AccountId, BookingId, BookingItem, Event, HoldId, Layout, Money, PaymentToken,
    PlaceBooking, SlotRef, Timestamp,
};

/// The most keys that one hold keeps of `lock`, and of `book`. Only the first of them and one an
/// attempt made anything; more than this only found what was there, and are not kept.
pub const KEYS_MAX: usize = 16;

/// A hold with everything that later calls about it need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord {
    pub id: HoldId,
    pub account: AccountId,
    pub slot: Option<SlotRef>,
    /// Ascending.
    pub places: Vec<u32>,
    /// In minor units, in the order of `places`: frozen when the hold was made.
    pub prices: Vec<i64>,
    /// When it expires, unless it is being paid.
    pub until: Timestamp,
    /// Bookings made of it so far.
    pub attempts: u32,
    /// The keys it was locked with, the one that made it first.
    pub lock_keys: Vec<Keyed>,
    /// The keys it was booked with, and the attempt that each of them made.
    pub book_keys: Vec<(Keyed, u32)>,
    pub state: HoldState,
}

/// Where a hold stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldState {
    Held,
    Paying(HoldPayment),
    /// Its places are no longer its own; only its keys and its booking are still asked for.
    Over {
        /// The booking that bought its places.
        bought: Option<BookingId>,
        forget_at: Timestamp,
    },
}

/// A hold that is being paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldPayment {
    pub command: Box<PlaceBooking>,
    /// When the command is overdue and is appended again.
    pub resend_at: Timestamp,
    /// More than the call that began it may have appended it, so it cannot be taken back.
    pub shared: bool,
}

impl HoldRecord {
    /// The hold that a command was made of, for when only the command is left of it.
    pub fn of_command(command: &PlaceBooking, layout: &Layout) -> Self {
        let find = |item: &BookingItem| Some((layout.find(item.item.as_str())?, item.price.minor));
        let mut priced: Vec<(u32, i64)> = command.items.iter().filter_map(find).collect();
        priced.sort_unstable();
        let (places, prices) = priced.into_iter().unzip();
        Self {
            id: command.hold_id.clone(),
            account: command.account_id.clone(),
            slot: command.slot.clone(),
            places,
            prices,
            until: command.deadline,
            attempts: command.attempt,
            lock_keys: Vec::new(),
            book_keys: Vec::new(),
            state: HoldState::Paying(HoldPayment::begun(command.clone())),
        }
    }

    pub fn is_live(&self) -> bool {
        match self.state {
            HoldState::Held | HoldState::Paying(_) => true,
            HoldState::Over { .. } => false,
        }
    }

    pub fn payment(&self) -> Option<&HoldPayment> {
        match &self.state {
            HoldState::Paying(payment) => Some(payment),
            HoldState::Held | HoldState::Over { .. } => None,
        }
    }

    /// True while it pays for exactly this booking.
    pub fn is_paying(&self, booking: &BookingId) -> bool {
        self.payment().is_some_and(|payment| payment.command.booking_id == *booking)
    }

    /// True when somebody may come back with a key, or ask what became of a booking.
    pub(crate) fn is_remembered(&self) -> bool {
        !self.lock_keys.is_empty() || self.attempts > 0
    }

    pub(crate) fn keep_lock_key(&mut self, key: Option<&Keyed>) {
        if let Some(key) = key
            && self.lock_keys.len() < KEYS_MAX
        {
            self.lock_keys.push(key.clone());
        }
    }

    pub(crate) fn keep_key(&mut self, key: Option<&Keyed>) {
        if let Some(key) = key
            && self.book_keys.len() < KEYS_MAX
        {
            self.book_keys.push((key.clone(), self.attempts));
        }
    }

    /// The next attempt: the command that asks for what the hold holds, at its frozen prices.
    pub fn begin_payment(&mut self, event: &Event, payment_token: PaymentToken, now: Timestamp) {
        self.attempts += 1;
        self.state = HoldState::Paying(HoldPayment::begun(PlaceBooking {
            booking_id: BookingId::of_attempt(&self.id, self.attempts),
            hold_id: self.id.clone(),
            attempt: self.attempts,
            account_id: self.account.clone(),
            event_id: event.id.clone(),
            slot: self.slot.clone(),
            items: self.items(&event.layout),
            total: self.total(&event.layout),
            payment_token,
            seats_per_account_max: event.terms.seats_per_account_max,
            placed_at: now,
            deadline: now.plus_seconds(event.terms.payment_deadline_seconds),
        }));
    }

    /// Takes the last attempt back, as if it had never been made.
    pub(crate) fn undo_payment(&mut self) {
        let attempt = self.attempts;
        self.book_keys.retain(|(_, made)| *made != attempt);
        self.attempts = attempt.saturating_sub(1);
        self.state = HoldState::Held;
    }

    /// The gateway said no: the places stay with the hold for another try, if one is left.
    pub(crate) fn decline(&mut self, at_least_until: Timestamp, forget_at: Timestamp) {
        if self.attempts >= ATTEMPTS_MAX {
            self.state = HoldState::Over { bought: None, forget_at };
        } else {
            self.until = self.until.max(at_least_until);
            self.state = HoldState::Held;
        }
    }

    /// As others see it; `None` when it is over.
    pub fn shown(&self, event: &Event) -> Option<SeatHold> {
        self.is_live().then(|| SeatHold {
            id: self.id.clone(),
            event: event.id.clone(),
            account: self.account.clone(),
            slot: self.slot.clone(),
            items: self.items(&event.layout),
            total: self.total(&event.layout),
            until: self.until,
            attempts: self.attempts,
            paying: self.payment().map(|payment| payment.command.booking_id.clone()),
        })
    }

    fn items(&self, layout: &Layout) -> Vec<BookingItem> {
        let item = |(place, price): (&u32, &i64)| {
            let place = layout.place(*place)?;
            Some(BookingItem {
                item: place.id.clone(),
                seat: (!place.general).then(|| place.id.clone()),
                section: layout.sections().get(place.section)?.id.clone(),
                label: place.label.clone(),
                offer: "standard".into(),
                price: Money::new(*price, layout.currency()),
            })
        };
        let mut items: Vec<_> = self.places.iter().zip(&self.prices).filter_map(item).collect();
        items.sort_unstable_by(|one, other| one.item.cmp(&other.item));
        items
    }

    /// The handle has made sure, before it locks, that no sum of prices overflows.
    fn total(&self, layout: &Layout) -> Money {
        let minor = self.prices.iter().fold(0i64, |sum, price| sum.saturating_add(*price));
        Money::new(minor, layout.currency())
    }
}

impl HoldPayment {
    fn begun(command: PlaceBooking) -> Self {
        Self { resend_at: command.deadline, command: Box::new(command), shared: false }
    }
}
