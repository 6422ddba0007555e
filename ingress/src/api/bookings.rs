//! Bookings: buying what a hold holds, following what becomes of it, cancelling it.
use crate::api::holds::{
    SeatName, USER_ID, event, not_holder, place, same_user, seat_ids, seat_name,
};
use crate::exchange::{Exchange, Outcome, cursor, field, trace};
use crate::fields::Fields;
use crate::idempotency;
use crate::login::Login;
use crate::metrics::Counted;
use crate::problem::{Code, Problem};
use crate::response::{self, Listed};
use crate::rules::{Form, digits, parsed, parsed_as, text};
use crate::schemas::{Time, answer};
use allocator::{BookAnswer, BookRequest, BookTarget};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use ledger::{
    Booking, BookingId, BookingItem, BookingStatus, EventId, HoldId, Money, PaymentToken, PlaceId,
    Refund, TicketId, TicketState,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

answer! {
    /// A booking that was taken on; what becomes of it is at `status_url`.
    struct Accepted as "Accepted", such as
        r#"{"message": "Booking accepted!", "booking_id": "bkg_1", "status": "processing",
            "status_url": "/api/bookings/bkg_1"}"# {
        /// A line for people.
        message: &'static str,
        /// The booking's id.
        booking_id: BookingId,
        /// Where the booking stands.
        status: BookingStatus,
        /// Where to look for what becomes of it.
        status_url: String,
    }
}

answer! {
    /// A booking.
    struct BookingShown as "Booking", such as
        r#"{"id": "bkg_1", "event_id": "evt_1", "hold_id": "hld_1", "attempt": 1,
            "status": "confirmed", "failure_code": null, "seats": ["main-A-1"],
            "items": [{"item": "main-A-1", "seat": "main-A-1", "section": "main", "label": "A-1",
                "offer": "standard", "price": {"minor": 4500, "currency": "EUR"}}],
            "total": {"minor": 4500, "currency": "EUR"},
            "tickets": [{"id": "tkt_1", "ticket_id": "tkt_1", "item": "main-A-1",
                "seat": "main-A-1", "url": "/api/tickets/tkt_1"}],
            "refunds": [], "hold": null, "created_at": "2026-05-01T18:00:00Z",
            "updated_at": "2026-05-01T18:00:01Z"}"# {
        /// The booking's id.
        id: BookingId,
        /// The event that it is for.
        event_id: EventId,
        /// The hold that it buys.
        hold_id: HoldId,
        /// Which try of paying for the hold it is.
        attempt: u32,
        /// Where it stands.
        status: BookingStatus,
        /// Why the payment failed; null where it did not.
        failure_code: Option<String>,
        /// The ids of the seats; general admission has none.
        seats: Vec<PlaceId>,
        /// What is bought, with its price.
        items: Vec<BookingItem>,
        /// What it costs altogether.
        total: Money,
        /// The tickets, once it is confirmed.
        tickets: Vec<TicketLink>,
        /// What goes back of the money.
        refunds: Vec<Refund>,
        /// What is still held after a decline; null where nothing is.
        hold: Option<HoldLeft>,
        /// When it was placed.
        created_at: Time,
        /// When it last changed.
        updated_at: Time,
    }
}

answer! {
    /// Where a ticket of a booking is.
    struct TicketLink as "TicketLink", such as
        r#"{"id": "tkt_1", "ticket_id": "tkt_1", "item": "main-A-1", "seat": "main-A-1",
            "url": "/api/tickets/tkt_1"}"# {
        /// The ticket's id, as the ticket names itself.
        id: TicketId,
        /// The ticket's id, as whatever points at a ticket names it.
        ticket_id: TicketId,
        /// The place that it is for.
        item: PlaceId,
        /// The seat's id; null for general admission.
        seat: Option<PlaceId>,
        /// Where the ticket is.
        url: String,
    }
}

answer! {
    /// A hold that goes on for a while after a decline, so that the buyer may try again.
    struct HoldLeft as "HoldLeft", such as r#"{"hold_id": "hld_1", "expires_in": 90}"# {
        /// The hold's id.
        hold_id: HoldId,
        /// In how many seconds it ends.
        expires_in: i64,
    }
}

pub(crate) struct BookForm {
    event_id: EventId,
    user_id: Option<String>,
    target: TargetForm,
    payment_token: PaymentToken,
}

enum TargetForm {
    Hold(HoldId),
    Seat(SeatName),
}

/// What to buy, and what with.
pub(crate) static BOOK: Form<BookForm> = Form {
    name: "Book",
    says: "What to buy, by its hold or by a seat that one holds, and what to pay with.",
    example: r#"{"event_id": "evt_1", "hold_id": "hld_1", "payment_token": "tok_visa"}"#,
    fields: book_form,
};

pub(crate) async fn book(mut exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    let received = exchange.receive().await?;
    let form = received.read(&BOOK)?;
    same_user(form.user_id.as_deref(), &login)?;
    let event = event(&exchange, &form.event_id).await?;
    let target = match form.target {
        TargetForm::Hold(hold) => BookTarget::Hold(hold),
        TargetForm::Seat(name) => {
            let place = place(&event.layout, &name);
            let wrong = || Problem::field("seat_number", "is not a seat of this event");
            BookTarget::Place(place.ok_or_else(wrong)?)
        }
    };
    let key = idempotency::keyed(exchange.headers(), &received)?;
    let (account, payment_token) = (login.account, form.payment_token);
    let keyed = key.is_some();
    let request = BookRequest { event, account, target, payment_token, key };
    match exchange.app().seats.book(request).await? {
        BookAnswer::Accepted(mut booking) => {
            trace(field::BOOKING, &booking.id);
            trace(field::HOLD, &booking.hold_id);
            if keyed {
                // The same key gets the same answer, whatever has come of it since.
                booking.status = BookingStatus::Processing;
            }
            Ok(accepted(&booking, "Booking accepted!"))
        }
        BookAnswer::NotHolder => Err(not_holder()),
        BookAnswer::Expired | BookAnswer::NotFound => {
            Err(Problem::new(Code::HoldExpired, "you hold no such seats (any more)"))
        }
        BookAnswer::Mismatch => Err(idempotency::mismatch()),
    }
}

pub(crate) async fn get(exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    let wait = exchange.query(wait(exchange.app().config.long_poll_seconds_max))?;
    let id = exchange.id(BookingId::parse)?;
    trace(field::BOOKING, &id);
    // Listen before looking, so that no change falls between the two.
    let mut changes = exchange.app().changes.subscribe(&id);
    let mut booking = own(&exchange, &login, &id).await?;
    if wait > 0 && !booking.status.is_terminal() {
        let until = Instant::now() + Duration::from_secs(wait.into());
        booking = next_change(&exchange, booking, &mut changes, until).await?;
    }
    let hold = hold_left(&exchange, &booking).await?;
    Ok(response::json(StatusCode::OK, &BookingShown::new(booking, hold)))
}

pub(crate) async fn list(exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    let cursor = exchange.query(cursor)?;
    let page = exchange.app().views.bookings_of(&login.account, cursor).await?;
    let page = page.map(|booking| BookingShown::new(booking, None));
    Ok(response::json(StatusCode::OK, &Listed::from(page)))
}

pub(crate) async fn cancel(mut exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    let received = exchange.receive().await?;
    received.read_nothing()?;
    let id = exchange.id(BookingId::parse)?;
    trace(field::BOOKING, &id);
    let work = async {
        let booking = own(&exchange, &login, &id).await?;
        may_cancel(&exchange, &id).await?;
        exchange.app().seats.cancel(&booking, &login.account).await?;
        Ok(accepted(&booking, "Cancellation accepted!"))
    };
    idempotency::once(&exchange, login.account.as_str(), &received, work).await
}

/// Nobody is told that money comes back that does not: what a cancel cannot undo any more is
/// refused. The books are asked, for the views may be behind.
async fn may_cancel(exchange: &Exchange, id: &BookingId) -> Result<(), Problem> {
    let books = &exchange.app().books;
    let Some(purchase) = books.purchase_reads.purchase(id).await? else { return Ok(()) };
    match purchase.status {
        BookingStatus::Declined
        | BookingStatus::SeatLost
        | BookingStatus::OverCap
        | BookingStatus::Expired => {
            let detail = "it was not paid, and holds no seats";
            Err(Problem::new(Code::NothingToCancel, detail))
        }
        BookingStatus::Confirmed => {
            for ticket in &purchase.tickets {
                let ticket = books.tickets.ticket(&ticket.ticket_id).await?;
                if ticket.is_some_and(|ticket| ticket.state == TicketState::Used) {
                    return Err(Problem::new(Code::TicketUsed, "somebody went in with it"));
                }
            }
            Ok(())
        }
        BookingStatus::Processing
        | BookingStatus::Cancelled
        | BookingStatus::RefundPending
        | BookingStatus::Refunded => Ok(()),
    }
}

/// A booking of the one who asks, or any for an admin. Others learn nothing of it.
async fn own(exchange: &Exchange, login: &Login, id: &BookingId) -> Result<Booking, Problem> {
    let found = find(exchange, id).await?;
    found
        .filter(|booking| login.may_see(&booking.account_id))
        .ok_or_else(|| Problem::not_found("there is no such booking"))
}

/// Views first, for they are cheap; then the record; then the hold that is paying it. So a
/// booking is never missing after its 202.
async fn find(exchange: &Exchange, id: &BookingId) -> Result<Option<Booking>, Problem> {
    let app = exchange.app();
    if let Some(booking) = app.views.booking(id).await? {
        return Ok(Some(booking));
    }
    if let Some(purchase) = app.books.purchase_reads.purchase(id).await? {
        return Ok(Some(purchase.booking()));
    }
    Ok(app.seats.paying_booking(id).await?)
}

/// Waits until the booking is newer than `seen`, or `until`, or the drain.
async fn next_change(
    exchange: &Exchange,
    seen: Booking,
    changes: &mut ledger::BookingWatch,
    until: Instant,
) -> Result<Booking, Problem> {
    let app = exchange.app();
    let Ok(_place) = app.long_polls.try_acquire() else { return Ok(seen) };
    let _counted = Counted::long_poll();
    let interval = Duration::from_millis(app.config.long_poll_interval_ms);
    while Instant::now() < until {
        tokio::select! {
            () = app.draining.cancelled() => break,
            () = changes.changed() => {}
            () = tokio::time::sleep_until(until.min(Instant::now() + interval)) => {}
        }
        match find(exchange, &seen.id).await? {
            Some(now) if now.version > seen.version => return Ok(now),
            Some(_) | None => {}
        }
    }
    Ok(seen)
}

/// After a decline the seats stay the holder's for a while.
async fn hold_left(exchange: &Exchange, booking: &Booking) -> Result<Option<HoldLeft>, Problem> {
    if booking.status != BookingStatus::Declined {
        return Ok(None);
    }
    let hold = exchange.app().seats.hold_after(booking).await?;
    let left = hold.map(|hold| {
        let expires_in = hold.until.seconds_left(exchange.now());
        HoldLeft { hold_id: hold.id, expires_in }
    });
    Ok(left.filter(|left| left.expires_in > 0))
}

fn accepted(booking: &Booking, message: &'static str) -> http::Response<crate::body::Body> {
    let status_url = format!("/api/bookings/{}", booking.id);
    let address = HeaderValue::try_from(&status_url);
    let (booking_id, status) = (booking.id.clone(), booking.status);
    let body = Accepted { message, booking_id, status, status_url };
    let mut answer = response::json(StatusCode::ACCEPTED, &body);
    if let Ok(address) = address {
        answer.headers_mut().insert(LOCATION, address);
    }
    answer
}

/// How many seconds a look at a booking may wait for its next change.
pub(crate) fn wait(seconds_max: u32) -> impl Fn(&mut Fields<'_>) -> Option<u32> {
    move |fields| {
        let says = "For how many seconds the answer may wait for the booking's next change.";
        Some(fields.optional("wait", digits(0..=seconds_max), says).unwrap_or(0))
    }
}

fn book_form(fields: &mut Fields<'_>) -> Option<BookForm> {
    let event_id = fields.required("event_id", parsed(EventId::parse), "The event.");
    let user_id = fields.optional("user_id", text(1..=64), USER_ID);
    fields.exactly_one(&["hold_id", "seat_number"]);
    let hold = fields.optional("hold_id", parsed(HoldId::parse), "The hold to buy.");
    let seat = fields.optional("seat_number", seat_name(), "A seat of the hold to buy.");
    let token = parsed_as(
        |text| match PaymentToken::parse(text) {
            Some(_) if is_card_number(text) => {
                Err("must be a token of the payment gateway, never a card number")
            }
            Some(token) => Ok(token),
            None => Err("must be 1 to 255 visible ASCII characters"),
        },
        |_| json!({ "type": "string", "pattern": "^[!-~]{1,255}$" }),
    );
    let says = "What the payment gateway charges: a token that it gave out, never a card number.";
    let payment_token = match fields.optional("payment_token", token, says) {
        Some(token) => Some(token),
        None => PaymentToken::parse(PaymentToken::DEFAULT),
    };
    Some(BookForm {
        event_id: event_id?,
        user_id,
        target: hold.map(TargetForm::Hold).or(seat.map(TargetForm::Seat))?,
        payment_token: payment_token?,
    })
}

/// Whether a text is what cards have printed on them: 12 to 19 digits, perhaps in groups, that pass
/// Luhn's check (ISO/IEC 7812). Such a number must not even be stored.
fn is_card_number(text: &str) -> bool {
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let weighed = digits.iter().rev().enumerate().map(|(at, digit)| match at % 2 {
        0 => *digit,
        _ if *digit > 4 => digit * 2 - 9,
        _ => digit * 2,
    });
    is_number && (12..=19).contains(&digits.len()) && weighed.sum::<u32>() % 10 == 0
}

impl BookingShown {
    fn new(booking: Booking, hold: Option<HoldLeft>) -> Self {
        let seat_of =
            |item: &PlaceId| booking.items.iter().find(|bought| bought.item == *item)?.seat.clone();
        let tickets = booking.tickets.iter().map(|ticket| TicketLink {
            id: ticket.ticket_id.clone(),
            ticket_id: ticket.ticket_id.clone(),
            item: ticket.item.clone(),
            seat: seat_of(&ticket.item),
            url: format!("/api/tickets/{}", ticket.ticket_id),
        });
        Self {
            tickets: tickets.collect(),
            seats: seat_ids(&booking.items),
            id: booking.id,
            event_id: booking.event_id,
            hold_id: booking.hold_id,
            attempt: booking.attempt,
            status: booking.status,
            failure_code: booking.failure_code,
            items: booking.items,
            total: booking.total,
            refunds: booking.refunds,
            hold,
            created_at: booking.placed_at.into(),
            updated_at: booking.updated_at.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_known_by_their_check_digit() {
        for (text, expected) in [
            ("4242424242424242", true),
            ("4242-4242-4242-4242", true),
            ("378282246310005", true),
            ("6304000000000000", true),
            ("4242424242424241", false),
            ("tok_4242424242424242", false),
            ("42424242", false),
            ("tok_visa", false),
            ("00000000000000000000", false),
        ] {
            assert_eq!(is_card_number(text), expected, "{text}");
        }
    }
}
