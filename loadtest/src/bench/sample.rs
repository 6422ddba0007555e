//! Bookings as a sale makes them, for the benchmarks of what carries and keeps them.
use anyhow::Context;
use ledger::{
    AccountId, BookingId, BookingItem, Clock, Currency, EventId, IdSource, Money, PaymentToken,
    PlaceBooking, PlaceId, QueueId, SectionId, SlotRef, Timestamp,
};

/// Seats of a booking: most people do not come alone.
pub(super) const SEATS: usize = 2;
const ROW_SEATS: usize = 20;

/// So many bookings of one event, each by somebody else for seats of its own.
pub(super) fn bookings(count: usize) -> anyhow::Result<Vec<PlaceBooking>> {
    let (ids, now) = (IdSource::system(), Clock::System.now());
    let event = ids.event(now);
    (0..count).map(|index| booking(&ids, &event, index, now)).collect()
}

fn booking(
    ids: &IdSource,
    event: &EventId,
    index: usize,
    now: Timestamp,
) -> anyhow::Result<PlaceBooking> {
    let hold_id = ids.hold(event, now);
    let account_id: AccountId = ids.account(now);
    let price = Money::new(7_500, Currency::EUR);
    let places = (index * SEATS)..((index + 1) * SEATS);
    let items = places.map(|place| item(place, price)).collect::<anyhow::Result<Vec<_>>>()?;
    let total = Money::sum(Currency::EUR, items.iter().map(|item| item.price));
    let payment_token = PaymentToken::parse(PaymentToken::DEFAULT).context("a payment token")?;
    Ok(PlaceBooking {
        booking_id: BookingId::of_attempt(&hold_id, 1),
        hold_id,
        attempt: 1,
        account_id,
        event_id: event.clone(),
        slot: Some(SlotRef { queue: QueueId::from(event), number: index as u64 + 1 }),
        items,
        total: total.context("a total")?,
        payment_token,
        seats_per_account_max: 10,
        placed_at: now,
        deadline: now.plus_seconds(3_600),
    })
}

fn item(place: usize, price: Money) -> anyhow::Result<BookingItem> {
    let (row, seat) = (place / ROW_SEATS + 1, place % ROW_SEATS + 1);
    let id = PlaceId::parse(&format!("stalls-R{row}-{seat}"))?;
    Ok(BookingItem {
        item: id.clone(),
        seat: Some(id),
        section: SectionId::parse("stalls")?,
        label: format!("R{row}-{seat}"),
        offer: "standard".to_owned(),
        price,
    })
}
