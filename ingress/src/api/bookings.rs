//! Bookings: buying what a hold holds, following what becomes of it, cancelling it.
use crate::api::holds::{SeatName, event, not_holder, place, same_user, seat_ids, seat_name};
use crate::exchange::{Exchange, Outcome, cursor};
use crate::fields::{Fields, digits, parsed, text};
use crate::idempotency;
use crate::login::Login;
use crate::metrics::Counted;
use crate::problem::{Code, Problem};
use crate::response::{self, Listed};
use allocator::{BookAnswer, BookRequest, BookTarget};
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use ledger::{
    Booking, BookingId, BookingItem, BookingStatus, EventId, HoldId, Money, PaymentToken, PlaceId,
    Refund, TicketId,
};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Serialize)]
struct Accepted {
    message: &'static str,
    booking_id: BookingId,
    status: BookingStatus,
    status_url: String,
}

#[derive(Serialize)]
struct BookingShown {
    id: BookingId,
    event_id: EventId,
    hold_id: HoldId,
    attempt: u32,
    status: BookingStatus,
    failure_code: Option<String>,
    seats: Vec<PlaceId>,
    items: Vec<BookingItem>,
    total: Money,
    tickets: Vec<TicketLink>,
    refunds: Vec<Refund>,
    /// What is still held after a decline.
    hold: Option<HoldLeft>,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct TicketLink {
    /// As the ticket names itself, and as whatever points at a ticket does.
    id: TicketId,
    ticket_id: TicketId,
    item: PlaceId,
    seat: Option<PlaceId>,
    url: String,
}

#[derive(Serialize)]
struct HoldLeft {
    hold_id: HoldId,
    expires_in: i64,
}

struct BookForm {
    event_id: EventId,
    user_id: Option<String>,
    target: TargetForm,
    payment_token: PaymentToken,
}

enum TargetForm {
    Hold(HoldId),
    Seat(SeatName),
}

pub(crate) async fn book(mut exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    exchange.no_query()?;
    let received = exchange.receive().await?;
    let form = received.read(book_form)?;
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
    let most = exchange.app().config.long_poll_seconds_max;
    let wait = exchange.query(|f| Some(f.optional("wait", digits(0..=most)).unwrap_or(0)))?;
    let id = exchange.id(BookingId::parse)?;
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
    exchange.no_query()?;
    let received = exchange.receive().await?;
    received.read_nothing()?;
    let id = exchange.id(BookingId::parse)?;
    let work = async {
        let booking = own(&exchange, &login, &id).await?;
        exchange.app().seats.cancel(&booking, &login.account).await?;
        Ok(accepted(&booking, "Cancellation accepted!"))
    };
    idempotency::once(&exchange, login.account.as_str(), &received, work).await
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
    if let Some(purchase) = app.books.purchases.purchase(id).await? {
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

fn book_form(fields: &mut Fields<'_>) -> Option<BookForm> {
    let event_id = fields.required("event_id", parsed(EventId::parse));
    let user_id = fields.optional("user_id", text(1..=64));
    if fields.has("hold_id") == fields.has("seat_number") {
        fields.wrong("hold_id", "exactly one of hold_id and seat_number is needed");
    }
    let hold = fields.optional("hold_id", parsed(HoldId::parse)).map(TargetForm::Hold);
    let seat = fields.optional("seat_number", seat_name).map(TargetForm::Seat);
    let token =
        |text: &str| PaymentToken::parse(text).ok_or("must be 1 to 255 visible ASCII characters");
    let payment_token = match fields.optional("payment_token", parsed(token)) {
        Some(token) => Some(token),
        None => PaymentToken::parse(PaymentToken::DEFAULT),
    };
    Some(BookForm {
        event_id: event_id?,
        user_id,
        target: hold.or(seat)?,
        payment_token: payment_token?,
    })
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
            created_at: booking.placed_at.rfc3339(),
            updated_at: booking.updated_at.rfc3339(),
        }
    }
}
