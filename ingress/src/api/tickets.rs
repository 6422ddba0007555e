//! Tickets: the signed proof as text and QR code, and the gate that reads it.
use crate::exchange::{Exchange, Outcome};
use crate::fields::{Fields, text};
use crate::idempotency;
use crate::problem::Problem;
use crate::qr;
use crate::response;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use ledger::books::Scan;
use ledger::ticket::{self, TicketClaims};
use ledger::{BookingId, EventId, PlaceId, Role, Ticket, TicketId, TicketState};
use serde::Serialize;

/// Longer than any signed ticket.
const SIGNED_MAX: usize = 2_000;

#[derive(Serialize)]
struct TicketShown {
    id: TicketId,
    booking_id: BookingId,
    event_id: EventId,
    item: PlaceId,
    seat: Option<PlaceId>,
    label: String,
    issue: u32,
    status: TicketState,
    used_at: Option<String>,
    /// The signed text; null once the ticket is void.
    ticket: Option<String>,
    svg_url: String,
    png_url: String,
}

#[derive(Serialize)]
struct ScanShown {
    result: TicketState,
    ticket_id: TicketId,
    event_id: EventId,
    seat: Option<PlaceId>,
    label: Option<String>,
    used_at: Option<String>,
}

pub(crate) async fn get(exchange: Exchange) -> Outcome {
    let ticket = own(&exchange).await?;
    let signed = signed(&exchange, &ticket)?;
    let url = format!("/api/tickets/{}", ticket.id);
    let body = TicketShown {
        booking_id: ticket.booking_id,
        event_id: ticket.event_id,
        item: ticket.item,
        seat: ticket.seat,
        label: ticket.label,
        issue: ticket.issue,
        status: ticket.state,
        used_at: ticket.used_at.map(|at| at.rfc3339()),
        ticket: signed,
        svg_url: format!("{url}.svg"),
        png_url: format!("{url}.png"),
        id: ticket.id,
    };
    Ok(response::json(StatusCode::OK, &body))
}

pub(crate) async fn svg(exchange: Exchange) -> Outcome {
    let signed = shown(&exchange).await?;
    let svg = qr::svg(&signed).ok_or_else(too_long)?;
    let content_type = HeaderValue::from_static("image/svg+xml");
    let mut answer = response::whole(StatusCode::OK, content_type, svg);
    // An image that is opened as a page runs nothing.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(answer)
}

pub(crate) async fn png(exchange: Exchange) -> Outcome {
    let signed = shown(&exchange).await?;
    let png = qr::png(&signed).ok_or_else(too_long)?;
    Ok(response::whole(StatusCode::OK, HeaderValue::from_static("image/png"), png))
}

pub(crate) async fn verify(mut exchange: Exchange) -> Outcome {
    let login = exchange.login_as(Role::Gate).await?;
    exchange.no_query()?;
    let received = exchange.receive().await?;
    let ticket = |fields: &mut Fields<'_>| fields.required("ticket", text(1..=SIGNED_MAX));
    let signed = received.read(ticket)?;
    let claims = ticket::verify(&exchange.app().keys, &signed)
        .ok_or_else(|| Problem::field("ticket", "is not a ticket of this house"))?;
    let work = scan(&exchange, claims);
    idempotency::once(&exchange, login.account.as_str(), &received, work).await
}

async fn scan(exchange: &Exchange, claims: TicketClaims) -> Outcome {
    let scan = Scan { ticket_id: claims.sub.clone(), issue: claims.issue };
    let result = exchange.app().books.purchases.scan(&scan, exchange.now()).await?;
    let body = match result {
        Some(scanned) => ScanShown {
            result: scanned.state,
            ticket_id: scanned.ticket.id,
            event_id: scanned.ticket.event_id,
            seat: scanned.ticket.seat,
            label: Some(scanned.ticket.label),
            used_at: scanned.ticket.used_at.map(|at| at.rfc3339()),
        },
        // It was signed here once, but another issue took its place.
        None => ScanShown {
            result: TicketState::Void,
            ticket_id: claims.sub,
            event_id: claims.event,
            seat: claims.seat,
            label: None,
            used_at: None,
        },
    };
    Ok(response::json(StatusCode::OK, &body))
}

/// A ticket of the one who asks, or any for an admin. Others learn nothing of it.
async fn own(exchange: &Exchange) -> Result<Ticket, Problem> {
    let login = exchange.login()?;
    exchange.no_query()?;
    let id = exchange.id(TicketId::parse)?;
    let found = exchange.app().books.purchases.ticket(&id).await?;
    found
        .filter(|ticket| login.may_see(&ticket.account_id))
        .ok_or_else(|| Problem::not_found("there is no such ticket"))
}

/// The signed text; `None` for a ticket that opens no door any more.
fn signed(exchange: &Exchange, ticket: &Ticket) -> Result<Option<String>, Problem> {
    match ticket.state {
        TicketState::Void => Ok(None),
        TicketState::Valid | TicketState::Used => {
            Ok(Some(ticket::sign(&exchange.app().keys, ticket, exchange.now())?))
        }
    }
}

async fn shown(exchange: &Exchange) -> Result<String, Problem> {
    let ticket = own(exchange).await?;
    signed(exchange, &ticket)?.ok_or_else(|| Problem::not_found("the ticket is void"))
}

fn too_long() -> Problem {
    Problem::new(crate::problem::Code::Internal, "the ticket does not fit a QR code")
}
