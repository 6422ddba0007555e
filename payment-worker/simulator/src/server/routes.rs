//! The gateway's routes: parse, one call into the simulation, answer.
use crate::SimulatedGateway;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use ledger::{BookingId, Cursor, Money, Page, PaymentToken, RefundId};
use payment_worker::gateway::wire::{
    Charge, IDEMPOTENCY_KEY, KEY_REUSED, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, List, NewCharge,
    NewRefund, Problem, Refund,
};
use payment_worker::gateway::{
    ChargeAnswer, ChargeRequest, GatewayError, PaymentGateway, RefundAnswer, RefundRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// The largest request body, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

type Answer = Response<Full<Bytes>>;

/// The connection is to close without an answer.
#[derive(Debug, thiserror::Error)]
#[error("no reply is sent")]
pub(super) struct NoReply;

/// Answers one request in a task of its own: a client that goes away cuts no effect in half.
pub(super) async fn answer(
    gateway: SimulatedGateway,
    tasks: &TaskTracker,
    request: Request<Incoming>,
) -> Result<Answer, NoReply> {
    let (head, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(problem) => return Ok(problem.response()),
    };
    let routed = tasks.spawn(async move { route(&gateway, &head, &body).await });
    match routed.await.map_err(|_| NoReply)? {
        Ok(answer) => Ok(answer),
        Err(Failure::Refused(refusal)) => Ok(refusal.response()),
        Err(Failure::Gateway(GatewayError::Unexpected { status, code, .. })) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            Ok(Refusal { status, code }.response())
        }
        Err(Failure::Gateway(error)) => {
            tracing::debug!(%error, "a reply is withheld");
            Err(NoReply)
        }
    }
}

/// A request that is answered with a problem.
struct Refusal {
    status: StatusCode,
    code: String,
}

enum Failure {
    Refused(Refusal),
    Gateway(GatewayError),
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large"))
        }
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "malformed")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout")),
    }
}

async fn route(
    gateway: &SimulatedGateway,
    head: &http::request::Parts,
    body: &[u8],
) -> Result<Answer, Failure> {
    let query = head.uri.query().unwrap_or("");
    let path: Vec<&str> = head.uri.path().trim_start_matches('/').split('/').collect();
    match (&head.method, path.as_slice()) {
        (&Method::POST, ["v1", "charges"]) => charge(gateway, &head.headers, body).await,
        (&Method::GET, ["v1", "charges"]) => {
            let query = ListQuery::parse(query)?;
            if let Some(booking) = query.booking_id {
                let found = gateway.find(&booking).await?.into_iter().collect();
                return Ok(list::<_, Charge>(Page { items: found, next: None }));
            }
            Ok(list::<_, Charge>(gateway.charges(query.cursor).await?))
        }
        (&Method::GET, ["v1", "charges", id]) => charge_by_id(gateway, id).await,
        (&Method::POST, ["v1", "refunds"]) => refund(gateway, &head.headers, body).await,
        (&Method::GET, ["v1", "refunds"]) => {
            let query = ListQuery::parse(query)?;
            Ok(list::<_, Refund>(gateway.refunds(query.cursor).await?))
        }
        (_, ["v1", "charges" | "refunds", ..]) => {
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method").into())
        }
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "not_found").into()),
    }
}

async fn charge(
    gateway: &SimulatedGateway,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Failure> {
    let key = key(headers, BookingId::parse)?;
    let asked: NewCharge = parsed(body)?;
    let payment_token = PaymentToken::parse(&asked.source)
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "invalid_source"))?;
    let amount = amount(asked.amount, asked.currency)?;
    let request = ChargeRequest { key, amount, payment_token };
    match gateway.charge(&request).await? {
        // The object is read back, so that it is the one that the list shows.
        ChargeAnswer::Captured { .. } => match gateway.find(&request.key).await? {
            Some(record) => Ok(json(StatusCode::OK, &Charge::from(record))),
            None => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "lost").into()),
        },
        ChargeAnswer::Declined { code } => {
            Err(Refusal::new(StatusCode::PAYMENT_REQUIRED, &code).into())
        }
        ChargeAnswer::KeyReused => {
            Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, KEY_REUSED).into())
        }
    }
}

async fn refund(
    gateway: &SimulatedGateway,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Failure> {
    let key = key(headers, RefundId::parse)?;
    let asked: NewRefund = parsed(body)?;
    let amount = amount(asked.amount, asked.currency)?;
    let request = RefundRequest { key, booking: asked.booking_id, charge_id: asked.charge, amount };
    match gateway.refund(&request).await? {
        RefundAnswer::Done => {
            let done = serde_json::json!({
                "object": "refund",
                "refund_id": request.key,
                "booking_id": request.booking,
                "charge": request.charge_id,
                "amount": amount.minor,
                "currency": amount.currency,
                "status": "succeeded",
            });
            Ok(json(StatusCode::OK, &done))
        }
        RefundAnswer::Refused { code } => Err(Refusal::new(StatusCode::CONFLICT, &code).into()),
    }
}

/// A charge by the gateway's own id, or by the booking's.
async fn charge_by_id(gateway: &SimulatedGateway, id: &str) -> Result<Answer, Failure> {
    let found = match BookingId::parse(id) {
        Ok(booking) => match gateway.find(&booking).await? {
            Some(record) => Some(record),
            None => gateway.charge_by_id(id).await?,
        },
        Err(_) => None,
    };
    match found {
        Some(record) => Ok(json(StatusCode::OK, &Charge::from(record))),
        None => Err(Refusal::new(StatusCode::NOT_FOUND, "not_found").into()),
    }
}

struct ListQuery {
    cursor: Cursor,
    booking_id: Option<BookingId>,
}

impl ListQuery {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut cursor = Cursor { after: None, limit: LIST_LIMIT_DEFAULT };
        let mut booking_id = None;
        let refuse = || Refusal::new(StatusCode::BAD_REQUEST, "malformed");
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').ok_or_else(refuse)? {
                ("limit", value) => {
                    let limit = value.parse().ok().filter(|n| (1..=LIST_LIMIT_MAX).contains(n));
                    cursor.limit = limit.ok_or_else(refuse)?;
                }
                ("starting_after", value) => cursor.after = Some(value.to_owned()),
                ("booking_id", value) => {
                    booking_id = Some(BookingId::parse(value).map_err(|_| refuse())?);
                }
                _ => return Err(refuse()),
            }
        }
        Ok(Self { cursor, booking_id })
    }
}

fn key<T, E>(headers: &HeaderMap, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, Refusal> {
    let text = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
    text.and_then(|text| parse(text).ok())
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "idempotency_key"))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // The parser's words may repeat the body, and the body holds the payment token.
    serde_json::from_slice(body).map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "malformed"))
}

fn amount(minor: i64, currency: ledger::Currency) -> Result<Money, Refusal> {
    if minor < 0 {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_amount"));
    }
    Ok(Money::new(minor, currency))
}

fn list<R, T: From<R> + Serialize>(page: Page<R>) -> Answer {
    let has_more = page.next.is_some();
    let data: Vec<T> = page.items.into_iter().map(T::from).collect();
    json(StatusCode::OK, &List { object: "list".into(), data, has_more })
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Answer {
    respond(status, "application/json", body)
}

fn respond<T: Serialize>(status: StatusCode, media: &'static str, body: &T) -> Answer {
    let body = serde_json::to_vec(body).expect("string keys and finite numbers only");
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, media)
        .header(header::CACHE_CONTROL, "no-store")
        .body(Full::new(body.into()))
        .expect("a status and two constant headers")
}

impl Refusal {
    fn new(status: StatusCode, code: &str) -> Self {
        Self { status, code: code.to_owned() }
    }

    fn response(self) -> Answer {
        let problem = Problem {
            kind: "about:blank".into(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: format!("the gateway refuses: {}", self.code),
            code: self.code,
        };
        respond(self.status, "application/problem+json", &problem)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
