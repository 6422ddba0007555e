//! Tickets: the signed proof as text and QR code, and the gate that reads it.
use crate::exchange::{Exchange, Outcome, field, trace};
use crate::idempotency;
use crate::problem::Problem;
use crate::qr;
use crate::response;
use crate::rules::{Form, text};
use crate::schemas::{Time, answer};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use ledger::books::Scan;
use ledger::ticket::{self, TicketClaims};
use ledger::{BookingId, EventId, PlaceId, Role, Ticket, TicketId, TicketState};

/// Longer than any signed ticket.
const SIGNED_MAX: usize = 2_000;

answer! {
    /// A ticket with its signed text.
    struct TicketShown as "Ticket", such as
        r#"{"id": "tkt_1", "booking_id": "bkg_1", "event_id": "evt_1", "item": "main-A-1",
            "seat": "main-A-1", "label": "A-1", "issue": 1, "status": "valid", "used_at": null,
            "ticket": "eyJhbGciOi.eyJzdWIi.c2ln", "svg_url": "/api/tickets/tkt_1.svg",
            "png_url": "/api/tickets/tkt_1.png"}"# {
        /// The ticket's id.
        id: TicketId,
        /// The booking that it belongs to.
        booking_id: BookingId,
        /// The event that it is for.
        event_id: EventId,
        /// The place that it is for.
        item: PlaceId,
        /// The seat's id; null for general admission.
        seat: Option<PlaceId>,
        /// What a person reads on the ticket.
        label: String,
        /// Which issue of the ticket this is; only the newest opens the door.
        issue: u32,
        /// Whether it opens the door.
        status: TicketState,
        /// When it was scanned; null before.
        used_at: Option<Time>,
        /// The signed text that the QR code holds; null once the ticket is void.
        ticket: Option<String>,
        /// Where the QR code is as a drawing.
        svg_url: String,
        /// Where the QR code is as a picture.
        png_url: String,
    }
}

answer! {
    /// What a scan found.
    struct ScanShown as "Scanned", such as
        r#"{"result": "valid", "ticket_id": "tkt_1", "event_id": "evt_1", "seat": "main-A-1",
            "label": "A-1", "used_at": "2026-05-01T18:00:00Z"}"# {
        /// `valid` on the first scan, `used` on the next ones, `void` for a cancelled ticket.
        result: TicketState,
        /// The ticket's id.
        ticket_id: TicketId,
        /// The event that it is for.
        event_id: EventId,
        /// The seat's id; null for general admission.
        seat: Option<PlaceId>,
        /// What a person reads on the ticket; null where another issue took its place.
        label: Option<String>,
        /// When it was first scanned; null for a ticket that is void.
        used_at: Option<Time>,
    }
}

/// What the gate scans.
pub(crate) static VERIFY: Form<String> = Form {
    name: "Verify",
    says: "What the gate scans.",
    example: r#"{"ticket": "eyJhbGciOi.eyJzdWIi.c2ln"}"#,
    fields: |fields| {
        fields.required("ticket", text(1..=SIGNED_MAX), "The signed text of the QR code.")
    },
};

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
        used_at: ticket.used_at.map(Time::from),
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
    let received = exchange.receive().await?;
    let signed = received.read(&VERIFY)?;
    let claims = ticket::verify(&exchange.app().keys, &signed)
        .ok_or_else(|| Problem::field("ticket", "is not a ticket that was signed here"))?;
    let work = scan(&exchange, claims);
    idempotency::once(&exchange, login.account.as_str(), &received, work).await
}

async fn scan(exchange: &Exchange, claims: TicketClaims) -> Outcome {
    trace(field::EVENT, &claims.event);
    let scan = Scan { ticket_id: claims.sub.clone(), issue: claims.issue };
    let result = exchange.app().books.tickets.scan(&scan, exchange.now()).await?;
    let body = match result {
        Some(scanned) => ScanShown {
            result: scanned.state,
            ticket_id: scanned.ticket.id,
            event_id: scanned.ticket.event_id,
            seat: scanned.ticket.seat,
            label: Some(scanned.ticket.label),
            used_at: scanned.ticket.used_at.map(Time::from),
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
    let id = exchange.id(TicketId::parse)?;
    let found = exchange.app().books.tickets.ticket(&id).await?;
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
