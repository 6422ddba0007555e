//! The contract of [`Purchases`]: claims, attempts, settlements, cancels, tickets, the outbox.
mod claiming;
mod money;
mod work;

use super::sample::{NOW, SampleEvent};
use crate::booking::{BookingOutcome, BookingStatus, PlaceBooking};
use crate::books::{Begun, Books, Settlement};
use crate::clock::Timestamp;
use crate::ids::PlaceId;
use crate::purchase::{ChargeResult, PaymentState, Purchase};

/// Runs the whole contract. The books may hold other events' purchases.
pub async fn check_all(books: &Books) {
    claiming::check(books).await;
    money::check(books).await;
    work::check(books).await;
}

/// Leaves one purchase of each kind behind, for [`check_survived`] to find after a crash.
pub async fn leave_traces(books: &Books, event: &SampleEvent) -> Vec<Purchase> {
    let [confirmed, declined, submitted] = ["a-1", "a-2", "a-3"].map(|place| event.place(&[place]));
    confirm(books, &confirmed).await;
    charge(books, &declined).await;
    settle(books, &declined, declined_by_gateway()).await;
    charge(books, &submitted).await;
    let mut left = Vec::new();
    for command in [confirmed, declined, submitted] {
        left.push(find(books, &command).await);
    }
    left
}

/// What [`leave_traces`] left is still there, claims and tickets included.
pub async fn check_survived(books: &Books, event: &SampleEvent, left: &[Purchase]) {
    for purchase in left {
        assert_eq!(find(books, &purchase.command).await, *purchase);
        for ticket in &purchase.tickets {
            assert!(books.tickets.ticket(&ticket.ticket_id).await.expect("an answer").is_some());
        }
    }
    let claims = books.purchase_reads.claims(&event.id, 0).await.expect("an answer");
    let mut places: Vec<_> = claims.live.iter().map(|claim| claim.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["a-1", "a-3"]);
}

async fn begin(books: &Books, command: &PlaceBooking) -> Begun {
    begin_at(books, command, NOW).await
}

async fn begin_at(books: &Books, command: &PlaceBooking, now: Timestamp) -> Begun {
    let batch = std::slice::from_ref(command);
    let begun = books.purchases.begin(batch, now).await.expect("an answer");
    let [begun] = <[Begun; 1]>::try_from(begun).expect("one answer a command");
    begun
}

/// Begins a booking that must be charged.
async fn charge(books: &Books, command: &PlaceBooking) -> Purchase {
    match begin(books, command).await {
        Begun::Charge(purchase) => *purchase,
        other @ (Begun::Resolve(_) | Begun::Ended(_)) => panic!("expected a charge: {other:?}"),
    }
}

/// Begins a booking that must end without a charge.
async fn refused(books: &Books, command: &PlaceBooking) -> BookingStatus {
    ended(begin(books, command).await).booking.status
}

fn ended(begun: Begun) -> BookingOutcome {
    match begun {
        Begun::Ended(outcome) => *outcome,
        other @ (Begun::Charge(_) | Begun::Resolve(_)) => panic!("expected an end: {other:?}"),
    }
}

async fn settle(
    books: &Books,
    command: &PlaceBooking,
    result: ChargeResult,
) -> Vec<BookingOutcome> {
    let settlement = Settlement { booking_id: command.booking_id.clone(), result };
    books.purchases.settle(&[settlement], NOW.plus_seconds(1)).await.expect("an answer")
}

/// Begins and settles a booking; it must be confirmed.
pub(super) async fn confirm(books: &Books, command: &PlaceBooking) -> BookingOutcome {
    charge(books, command).await;
    let mut outcomes = settle(books, command, captured(command)).await;
    let outcome = outcomes.pop().expect("a new outcome");
    assert_eq!(outcome.booking.status, BookingStatus::Confirmed);
    outcome
}

async fn find(books: &Books, command: &PlaceBooking) -> Purchase {
    let found = books.purchase_reads.purchase(&command.booking_id).await.expect("an answer");
    found.expect("the purchase is there")
}

fn captured(command: &PlaceBooking) -> ChargeResult {
    ChargeResult::Captured { charge_id: "ch_1".into(), amount: command.total }
}

fn declined_by_gateway() -> ChargeResult {
    ChargeResult::Declined { code: "card_declined".into() }
}

/// The places with a live claim, in order.
pub(super) async fn live(books: &Books, event: &SampleEvent) -> Vec<String> {
    let claims = books.purchase_reads.claims(&event.id, 0).await.expect("an answer");
    let mut places: Vec<_> = claims.live.into_iter().map(|claim| text(&claim.place)).collect();
    places.sort_unstable();
    places
}

fn text(place: &PlaceId) -> String {
    place.as_str().to_owned()
}

/// A purchase that was opened and submitted, and nothing else.
fn is_submitted(purchase: &Purchase) -> bool {
    purchase.payment == PaymentState::Submitted && purchase.version == 1
}
