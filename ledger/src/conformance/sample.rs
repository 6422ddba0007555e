//! Bookings for the suites, each of an event and a hold that nobody else uses.
use crate::admission::SlotRef;
use crate::booking::{BookingItem, CancelBooking, PaymentToken, PlaceBooking};
use crate::clock::Timestamp;
use crate::consumer::ConsumerConfig;
use crate::ids::{AccountId, BookingId, EventId, HoldId, IdSource, PlaceId, QueueId, SectionId};
use crate::money::{Currency, Money};

/// When the suites' bookings are placed.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// What every sample place costs.
pub const PRICE: Money = Money::new(4_500, Currency::EUR);

/// An event of its own, with buyers.
pub struct SampleEvent {
    pub id: EventId,
    ids: IdSource,
}

impl Default for SampleEvent {
    fn default() -> Self {
        let ids = IdSource::system();
        Self { id: ids.event(NOW), ids }
    }
}

impl SampleEvent {
    pub fn account(&self) -> AccountId {
        self.ids.account(NOW)
    }

    /// Somebody's first attempt to buy `places`.
    pub fn place(&self, places: &[&str]) -> PlaceBooking {
        self.place_by(&self.account(), places)
    }

    /// A first attempt of this account.
    pub fn place_by(&self, account: &AccountId, places: &[&str]) -> PlaceBooking {
        let hold_id = self.ids.hold(&self.id, NOW);
        let minor = i64::try_from(places.len()).unwrap_or(0).saturating_mul(PRICE.minor);
        PlaceBooking {
            booking_id: BookingId::of_attempt(&hold_id, 1),
            hold_id,
            attempt: 1,
            account_id: account.clone(),
            event_id: self.id.clone(),
            slot: Some(SlotRef { queue: QueueId::from(&self.id), number: 7 }),
            items: places.iter().map(|place| item(place)).collect(),
            total: Money::new(minor, PRICE.currency),
            payment_token: PaymentToken::parse("tok_good").expect("a valid token"),
            seats_per_account_max: 10,
            placed_at: NOW,
            deadline: NOW.plus_seconds(60),
        }
    }
}

/// The next attempt with the same hold.
pub fn again(command: &PlaceBooking) -> PlaceBooking {
    let attempt = command.attempt.saturating_add(1);
    let booking_id = BookingId::of_attempt(&command.hold_id, attempt);
    PlaceBooking { booking_id, attempt, ..command.clone() }
}

/// The same for nothing.
pub fn free(command: &PlaceBooking) -> PlaceBooking {
    let mut free = command.clone();
    free.total.minor = 0;
    free.items.iter_mut().for_each(|item| item.price.minor = 0);
    free
}

/// The owner's wish to undo a booking.
pub fn cancel_of(command: &PlaceBooking) -> CancelBooking {
    CancelBooking {
        booking_id: command.booking_id.clone(),
        event_id: command.event_id.clone(),
        requested_by: command.account_id.clone(),
        requested_at: NOW,
    }
}

/// A booking of one hold with a name of its own, for tests that need no uniqueness.
pub fn named(hold: &str) -> PlaceBooking {
    let event = SampleEvent { id: id_of("evt_sample"), ids: IdSource::seeded(1) };
    let hold_id = HoldId::parse(hold).expect("a valid id");
    let account = AccountId::parse("acc_sample").expect("a valid id");
    let booking_id = BookingId::of_attempt(&hold_id, 1);
    PlaceBooking { booking_id, hold_id, ..event.place_by(&account, &["stalls-A-1", "stalls-A-2"]) }
}

fn id_of(text: &str) -> EventId {
    EventId::parse(text).expect("a valid id")
}

fn item(place: &str) -> BookingItem {
    let id = PlaceId::parse(place).expect("a valid id");
    BookingItem {
        seat: Some(id.clone()),
        item: id,
        section: SectionId::parse("stalls").expect("a valid id"),
        label: place.trim_start_matches("stalls-").to_owned(),
        offer: "standard".into(),
        price: PRICE,
    }
}

/// Bounds of a consumer that tries again at once.
pub fn consumer_config() -> ConsumerConfig {
    ConsumerConfig {
        batch_max: 100,
        retry_min_ms: 1,
        retry_max_ms: 4,
        rejoin_after_failures: 8,
        poison_in_a_row_max: 16,
    }
}
