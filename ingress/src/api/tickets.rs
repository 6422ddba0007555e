//! Tickets: the signed proof as text and QR code, and the gate that reads it.
use crate::exchange::{Exchange, Outcome, field, trace};
use crate::idempotency;
use crate::problem::{Code, Problem};
use crate::qr;
use crate::response;
use crate::rules::{Form, parsed, text};
use crate::schemas::{Time, answer, describe_enum};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use ledger::books::{Scan, ScanResult, TicketAction, Unscan};
use ledger::ticket::{self, TicketClaims};
use ledger::{AccountId, BookingId, EventId, PlaceId, Role, Ticket, TicketId, TicketState};
use serde::Serialize;

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
        /// `valid` on the first scan, `used` on the next ones, `void` for a cancelled ticket;
        /// `wrong_event` for a ticket of another event, which stays as it was.
        result: ScanVerdict,
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

answer! {
    /// What was done with a ticket.
    struct UseShown as "TicketUse", such as
        r#"{"action": "unscan", "at": "2026-05-01T18:05:00Z", "by": "acc_1", "gate": null,
            "reason": "came in by the wrong door"}"# {
        /// `scan`, or `unscan` where a scan was taken back.
        action: TicketAction,
        /// When it was done.
        at: Time,
        /// The account that did it.
        by: AccountId,
        /// The gate that scanned it, as it named itself.
        gate: Option<String>,
        /// Why a scan was taken back.
        reason: Option<String>,
    }
}

answer! {
    /// A ticket whose scan was taken back.
    struct Unscanned as "Unscanned", such as
        r#"{"ticket_id": "tkt_1", "status": "valid", "trail": [
            {"action": "scan", "at": "2026-05-01T18:00:00Z", "by": "acc_2", "gate": "North",
                "reason": null},
            {"action": "unscan", "at": "2026-05-01T18:05:00Z", "by": "acc_1", "gate": null,
                "reason": "came in by the wrong door"}]}"# {
        /// The ticket's id.
        ticket_id: TicketId,
        /// It opens the door again.
        status: TicketState,
        /// All that was done with it, oldest first.
        trail: Vec<UseShown>,
    }
}

/// What the gate is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScanVerdict {
    Valid,
    Used,
    Void,
    WrongEvent,
}

impl From<TicketState> for ScanVerdict {
    fn from(state: TicketState) -> Self {
        match state {
            TicketState::Valid => Self::Valid,
            TicketState::Used => Self::Used,
            TicketState::Void => Self::Void,
        }
    }
}

describe_enum!(ScanVerdict: Valid, Used, Void, WrongEvent);
describe_enum!(TicketAction: Scan, Unscan);

pub(crate) struct VerifyForm {
    ticket: String,
    event_id: Option<EventId>,
    gate: Option<String>,
}

/// What the gate scans.
pub(crate) static VERIFY: Form<VerifyForm> = Form {
    name: "Verify",
    says: "What the gate scans, and for which event it lets people in.",
    example: r#"{"ticket": "eyJhbGciOi.eyJzdWIi.c2ln", "event_id": "evt_1", "gate": "North"}"#,
    fields: |fields| {
        let says = "The signed text of the QR code.";
        let ticket = fields.required("ticket", text(1..=SIGNED_MAX), says);
        let says = "The event at this gate: a ticket of another one is not used up.";
        let event_id = fields.optional("event_id", parsed(EventId::parse), says);
        let gate = fields.optional("gate", text(1..=64), "The gate's name, for the trail.");
        Some(VerifyForm { ticket: ticket?, event_id, gate })
    },
};

/// Why a scan is taken back.
pub(crate) static UNSCAN: Form<String> = Form {
    name: "Unscan",
    says: "Why a scan is taken back.",
    example: r#"{"reason": "came in by the wrong door"}"#,
    fields: |fields| fields.required("reason", text(1..=200), "Kept in the ticket's trail."),
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
    let form = received.read(&VERIFY)?;
    let claims = ticket::verify(&exchange.app().keys, &form.ticket)
        .ok_or_else(|| Problem::field("ticket", "is not a ticket that was signed here"))?;
    let VerifyForm { event_id, gate, .. } = form;
    let by = login.account.clone();
    let work = scan(&exchange, claims, event_id, by, gate);
    idempotency::once(&exchange, login.account.as_str(), &received, work).await
}

async fn scan(
    exchange: &Exchange,
    claims: TicketClaims,
    at_event: Option<EventId>,
    by: AccountId,
    gate: Option<String>,
) -> Outcome {
    trace(field::EVENT, &claims.event);
    let unseen = |result, claims: TicketClaims| ScanShown {
        result,
        ticket_id: claims.sub,
        event_id: claims.event,
        seat: claims.seat,
        label: None,
        used_at: None,
    };
    if at_event.is_some_and(|event| event != claims.event) {
        return Ok(response::json(StatusCode::OK, &unseen(ScanVerdict::WrongEvent, claims)));
    }
    let scan = Scan { ticket_id: claims.sub.clone(), issue: claims.issue, by, gate };
    let result = exchange.app().books.tickets.scan(&scan, exchange.now()).await?;
    let body = match result {
        Some(scanned) => ScanShown {
            result: scanned.state.into(),
            ticket_id: scanned.ticket.id,
            event_id: scanned.ticket.event_id,
            seat: scanned.ticket.seat,
            label: Some(scanned.ticket.label),
            used_at: scanned.ticket.used_at.map(Time::from),
        },
        // It was signed here once, but another issue took its place.
        None => unseen(ScanVerdict::Void, claims),
    };
    Ok(response::json(StatusCode::OK, &body))
}

pub(crate) async fn unscan(mut exchange: Exchange) -> Outcome {
    let login = exchange.login_as(Role::Admin).await?;
    let received = exchange.receive().await?;
    let reason = received.read(&UNSCAN)?;
    let ticket_id = exchange.id(TicketId::parse)?;
    let unscan = Unscan { ticket_id, by: login.account.clone(), reason };
    let work = take_back(&exchange, &unscan);
    idempotency::once(&exchange, login.account.as_str(), &received, work).await
}

async fn take_back(exchange: &Exchange, unscan: &Unscan) -> Outcome {
    let tickets = &exchange.app().books.tickets;
    let found = tickets.unscan(unscan, exchange.now()).await?;
    let Some(ScanResult { state, ticket }) = found else {
        return Err(Problem::not_found("there is no such ticket"));
    };
    if state != TicketState::Used {
        return Err(Problem::new(Code::TicketNotUsed, "nobody went in with it"));
    }
    let trail = tickets.trail(&ticket.id).await?;
    let trail = trail.into_iter().map(|line| UseShown {
        action: line.action,
        at: line.at.into(),
        by: line.by,
        gate: line.gate,
        reason: line.reason,
    });
    let body = Unscanned { ticket_id: ticket.id, status: ticket.state, trail: trail.collect() };
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
    Problem::new(Code::Internal, "the ticket does not fit a QR code")
}
