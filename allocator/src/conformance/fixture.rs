//! A small fixture with a store behind it: the words that the suite's sentences are made of.
use crate::store::{
    Applied, CopyRef, Find, Limits, LoadOutcome, Lock, Locked, Paid, Pay, SeatSnapshot, SeatStore,
    SeatsCopy, Swept, Truth,
};
use crate::{BookTarget, HoldRecord, Keyed, ReleaseAnswer, Wish};
use ledger::{
    AccountId, Booking, BookingId, BookingOutcome, BookingStatus, Clock, Currency, Event, Fenced,
    IdSource, Layout, Money, PaymentToken, PlaceBooking, QueueId, Row, SaleTerms, Seating, Section,
    SectionId, Timestamp,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// When every fixture opens.
pub const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// One event, in which an account may have four seats: five rows of ten, and a floor for fifty.
pub struct Fixture {
    pub event: Arc<Event>,
    pub store: Arc<dyn SeatStore>,
    pub generation: u64,
    pub ids: IdSource,
    pub clock: Clock,
}

impl Fixture {
    /// The first place of the floor.
    pub const FLOOR: u32 = 50;

    /// A fixture of its own, whose copy is loaded and empty.
    pub async fn open(store: Arc<dyn SeatStore>) -> Self {
        let fixture = Self::closed(store);
        assert_eq!(fixture.load(SeatsCopy::default()).await, LoadOutcome::Swapped);
        fixture
    }

    /// A fixture of its own, of which the store has no copy yet.
    pub fn closed(store: Arc<dyn SeatStore>) -> Self {
        let ids = IdSource::system();
        let event = Arc::new(Self::event(&ids));
        Self { event, store, generation: 1, ids, clock: Clock::manual(NOW) }
    }

    /// The event of a fixture.
    pub fn event(ids: &IdSource) -> Event {
        let id = ids.event(NOW);
        let seats: Vec<_> = (1..=10).map(|n| Some(n.to_string())).collect();
        let rows = ["A", "B", "C", "D", "E"];
        let rows = rows.map(|name| Row { name: name.into(), seats: seats.clone() });
        let section = |id: &str, seating| Section {
            id: SectionId::parse(id).expect("a valid id"),
            name: id.to_uppercase(),
            price: Money::new(4_500, Currency::EUR),
            seating,
        };
        let sections = vec![
            section("stalls", Seating::Rows(rows.to_vec())),
            section("floor", Seating::Capacity(50)),
        ];
        let terms = SaleTerms { seats_per_account_max: 4, ..SaleTerms::default() };
        Event {
            queue_id: QueueId::from(&id),
            id,
            name: "Night".into(),
            date: "2026-06-01".into(),
            timezone: "Europe/Vienna".into(),
            venue: "Arena".into(),
            on_sale_at: NOW,
            terms,
            layout_version: 1,
            layout: Arc::new(Layout::new(sections).expect("a valid layout")),
            created_at: NOW,
        }
    }

    /// The same fixture on another store object: a process that came later.
    #[must_use]
    pub fn on(&self, store: Arc<dyn SeatStore>, generation: u64) -> Self {
        let (event, ids, clock) = (self.event.clone(), self.ids.clone(), self.clock.clone());
        Self { event, store, generation, ids, clock }
    }

    pub fn at(&self) -> CopyRef {
        let limits = Limits { key_seconds: 86_400, declined_hold_seconds: 120 };
        let now = self.clock.now();
        CopyRef { event: self.event.clone(), generation: self.generation, now, limits }
    }

    pub fn wait_millis(&self, millis: i64) {
        self.clock.advance(Duration::from_millis(millis.try_into().expect("forward only")));
    }

    pub fn wait_seconds(&self, seconds: u32) {
        self.wait_millis(i64::from(seconds) * 1_000);
    }

    pub fn account(&self) -> AccountId {
        self.ids.account(NOW)
    }

    pub async fn load(&self, copy: SeatsCopy) -> LoadOutcome {
        self.store.load(&self.at(), copy).await.expect("the store answers")
    }

    pub async fn surviving_holds(&self, generation: u64) -> Vec<HoldRecord> {
        self.store.surviving_holds(&self.event, generation).await.expect("the store answers")
    }

    pub async fn wish(&self, who: &AccountId, wish: Wish, key: Option<(&str, u8)>) -> Locked {
        let minted = self.ids.hold(&self.event.id, self.clock.now());
        let key = key.map(keyed);
        let request = Lock { account: who.clone(), slot: None, wish, key, minted };
        here(self.store.lock(&self.at(), &request).await.expect("the store answers"))
    }

    pub async fn lock(&self, who: &AccountId, places: &[u32]) -> Locked {
        self.wish(who, Wish::Places(places.to_vec()), None).await
    }

    pub async fn lock_keyed(&self, who: &AccountId, places: &[u32], key: (&str, u8)) -> Locked {
        self.wish(who, Wish::Places(places.to_vec()), Some(key)).await
    }

    pub async fn best(&self, who: &AccountId, quantity: u32, section: Option<SectionId>) -> Locked {
        self.wish(who, Wish::Best { quantity, section }, None).await
    }

    pub async fn release(&self, hold: &HoldRecord, who: &AccountId) -> ReleaseAnswer {
        here(self.store.release(&self.at(), &hold.id, who).await.expect("the store answers"))
    }

    pub async fn pay(&self, who: &AccountId, target: BookTarget, key: Option<(&str, u8)>) -> Paid {
        self.pay_joining(who, target, key, None).await
    }

    async fn pay_joining(
        &self,
        who: &AccountId,
        target: BookTarget,
        key: Option<(&str, u8)>,
        joins: Option<BookingId>,
    ) -> Paid {
        let payment_token = PaymentToken::parse("tok_good").expect("a valid token");
        let request =
            Pay { account: who.clone(), target, payment_token, key: key.map(keyed), joins };
        here(self.store.pay(&self.at(), &request).await.expect("the store answers"))
    }

    /// A second payment of a hold whose booking the books have not decided.
    pub async fn join(&self, hold: &HoldRecord, key: (&str, u8), booking: &BookingId) -> Paid {
        let target = BookTarget::Hold(hold.id.clone());
        self.pay_joining(&hold.account, target, Some(key), Some(booking.clone())).await
    }

    pub async fn pay_hold(&self, hold: &HoldRecord, key: Option<(&str, u8)>) -> Paid {
        self.pay(&hold.account, BookTarget::Hold(hold.id.clone()), key).await
    }

    /// Begins to pay, and returns the command.
    pub async fn begun(&self, hold: &HoldRecord) -> PlaceBooking {
        match self.pay_hold(hold, None).await {
            Paid::Begun(command) => *command,
            other => panic!("expected a new command, got {other:?}"),
        }
    }

    pub async fn unpay(&self, booking: &BookingId) -> bool {
        here(self.store.unpay(&self.at(), booking).await.expect("the store answers"))
    }

    pub async fn apply(&self, command: &PlaceBooking, status: BookingStatus) -> Applied {
        let booking = Booking { status, version: 2, ..Booking::placed(command) };
        let outcome = BookingOutcome { booking, slot: None };
        here(self.store.apply(&self.at(), &outcome).await.expect("the store answers"))
    }

    pub async fn confirm(&self, command: &PlaceBooking) {
        assert_eq!(self.apply(command, BookingStatus::Confirmed).await, Applied::Done);
    }

    pub async fn reload(&self, places: &[(u32, Truth)]) {
        here(self.store.reload(&self.at(), places).await.expect("the store answers"));
    }

    pub async fn sweep(&self) -> Swept {
        here(self.store.sweep(&self.at(), 1_000).await.expect("the store answers"))
    }

    pub async fn holds_of(&self, who: &AccountId) -> Vec<HoldRecord> {
        let which = Find::Account(who.clone());
        here(self.store.find(&self.at(), &which).await.expect("the store answers"))
    }

    /// What a key of `lock` stands for.
    pub async fn found_by(&self, who: &AccountId, key: &str) -> Vec<HoldRecord> {
        let which = Find::Key { account: who.clone(), key: key.to_owned() };
        here(self.store.find(&self.at(), &which).await.expect("the store answers"))
    }

    /// The hold as it is now.
    pub async fn hold(&self, hold: &HoldRecord) -> HoldRecord {
        let which = Find::Hold(hold.id.clone());
        let mut found = here(self.store.find(&self.at(), &which).await.expect("the store answers"));
        found.pop().expect("the hold is known")
    }

    pub async fn snapshot(&self) -> SeatSnapshot {
        here(self.store.snapshot(&self.at()).await.expect("the store answers"))
    }

    /// The letters of some places.
    pub async fn drawn(&self, places: Range<usize>) -> String {
        let snapshot = self.snapshot().await;
        String::from_utf8(snapshot.places[places].to_vec()).expect("letters")
    }
}

/// The answer of a copy that must be there.
#[track_caller]
pub(super) fn here<T>(answer: Fenced<T>) -> T {
    match answer {
        Fenced::Is(answer) => answer,
        Fenced::Lost => panic!("the copy was lost"),
    }
}

fn keyed((key, body): (&str, u8)) -> Keyed {
    Keyed { key: key.to_owned(), body_hash: [body; 32] }
}
