//! The line: watching it, joining it, asking where one stands, being admitted, and leaving.
use crate::app::App;
use crate::body::Body;
use crate::cookies::Kind;
use crate::exchange::{Exchange, Outcome, Received};
use crate::idempotency;
use crate::problem::{Code, Problem};
use crate::response::{self, PUBLIC_SECOND};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use ledger::{AccountId, QueueId, SlotRef};
use serde::Serialize;
use std::ops::Range;
use waiting_room::{
    ClaimAnswer, Eta, IssuedPass, JoinAnswer, PlaceState, QueueStatus, QueueToken, Standing,
};

/// A place in line with the token that proves it.
#[derive(Serialize)]
struct JoinedShown<'a> {
    token: &'a str,
    entry: u64,
    number: Option<u64>,
    ahead: Option<u64>,
    eta_seconds: Option<Eta>,
    state: PlaceState,
    paused: bool,
    ready_expires_in: Option<i64>,
    return_expires_in: Option<i64>,
    session_expires_in: Option<i64>,
    poll_after_ms: u64,
}

#[derive(Serialize)]
struct PassShown<'a> {
    pass: &'a str,
    expires_in: i64,
}

/// The path that a whole crowd polls: no task, no copy of the status, nothing personal. `None`
/// when the status is not in memory, or there is something to say about the address.
pub(crate) fn watch_now<B>(
    app: &App,
    request: &Request<B>,
    param: Range<usize>,
) -> Option<Response<Body>> {
    let uri = request.uri();
    if uri.query().is_some() {
        return None;
    }
    let status = app.room.status_now(uri.path().get(param)?)?;
    Some(shown(request.headers(), &status))
}

pub(crate) async fn watch(exchange: Exchange) -> Outcome {
    if exchange.head.uri.query().is_some() {
        return Err(Problem::field("", "this address takes no parameters"));
    }
    let queue = exchange.queue()?;
    let Some(status) = exchange.app().room.status(&queue).await? else {
        return Err(Problem::not_found("there is no such queue"));
    };
    Ok(shown(exchange.headers(), &status))
}

fn shown(headers: &HeaderMap, status: &QueueStatus) -> Response<Body> {
    response::tagged(headers, status.etag.clone(), PUBLIC_SECOND, || status.body.clone())
}

pub(crate) async fn join(mut exchange: Exchange) -> Outcome {
    let login = exchange.maybe_login()?;
    exchange.no_query()?;
    let received = exchange.receive().await?;
    received.read_nothing()?;
    let queue = exchange.queue()?;
    match login {
        Some(login) => {
            let work = take_place(&exchange, &queue, Some(&login.account));
            // Most come without a login, and need not make room for what follows.
            Box::pin(once(&exchange, &login.account, &received, work)).await
        }
        // Without a login nobody knows whose key it is.
        None => take_place(&exchange, &queue, None).await,
    }
}

async fn take_place(exchange: &Exchange, queue: &QueueId, account: Option<&AccountId>) -> Outcome {
    let shown = exchange.shown(Kind::QueueToken, queue).map(|carried| carried.text);
    match exchange.app().room.join(queue, account, shown).await? {
        JoinAnswer::Joined { token, standing } => {
            Ok(placed(exchange, queue, StatusCode::CREATED, &token, &standing))
        }
        JoinAnswer::Same { token, standing } => {
            Ok(placed(exchange, queue, StatusCode::OK, &token, &standing))
        }
        JoinAnswer::Closed => Err(closed()),
        JoinAnswer::NoSuchQueue => Err(Problem::not_found("there is no such queue")),
    }
}

pub(crate) async fn me(exchange: Exchange) -> Outcome {
    exchange.no_query()?;
    let token = token(&exchange)?;
    let standing = exchange.app().room.standing(&token).await?;
    Ok(response::json(StatusCode::OK, &standing))
}

pub(crate) async fn claim(mut exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    exchange.no_query()?;
    let received = exchange.receive().await?;
    received.read_nothing()?;
    let work = enter(&exchange, &login.account);
    once(&exchange, &login.account, &received, work).await
}

async fn enter(exchange: &Exchange, account: &AccountId) -> Outcome {
    let token = token(exchange)?;
    match exchange.app().room.claim(&token, account).await? {
        ClaimAnswer::Admitted(pass) => {
            let expires_in = pass.pass.until.seconds_left(exchange.now());
            let body = PassShown { pass: &pass.jwt, expires_in };
            let mut answer = response::json(StatusCode::OK, &body);
            carry_pass(exchange, &pass, answer.headers_mut());
            Ok(answer)
        }
        ClaimAnswer::NotYet(standing) => Ok(response::json(StatusCode::ACCEPTED, &standing)),
        ClaimAnswer::TokenUsed => {
            Err(Problem::new(Code::TokenUsed, "the place belongs to another account"))
        }
        ClaimAnswer::Missed => Err(Problem::new(Code::Missed, "the place in line is over")),
        ClaimAnswer::Closed => Err(closed()),
    }
}

pub(crate) async fn leave(exchange: Exchange) -> Outcome {
    exchange.no_query()?;
    for slot in slots_to_leave(&exchange)? {
        exchange.app().room.leave(&slot).await?;
    }
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// Every slot and place that the request proves. A browser may still carry the pass of an earlier
/// visit beside the token of its new place, and whoever leaves means both.
fn slots_to_leave(exchange: &Exchange) -> Result<Vec<SlotRef>, Problem> {
    let queue = exchange.queue()?;
    let shown = exchange.shown(Kind::AdmissionPass, &queue);
    let pass = shown.and_then(|shown| exchange.app().room.read_pass(&queue, shown.text));
    let mut slots: Vec<SlotRef> = pass.map(|pass| pass.slot).into_iter().collect();
    match token(exchange) {
        // A place whose number was not drawn yet holds nothing to give back.
        Ok(QueueToken { queue, number, .. }) => {
            slots.extend(number.map(|number| SlotRef { queue, number }));
        }
        Err(problem) if slots.is_empty() => return Err(problem),
        // The pass is proof enough.
        Err(_) => {}
    }
    slots.dedup();
    Ok(slots)
}

/// The place in line that the request proves.
pub(super) fn token(exchange: &Exchange) -> Result<QueueToken, Problem> {
    let queue = exchange.queue()?;
    let shown = exchange.shown(Kind::QueueToken, &queue);
    let token = shown.and_then(|shown| exchange.app().room.read_token(&queue, shown.text));
    token.ok_or_else(|| {
        Problem::new(Code::Unauthenticated, "a Queue-Token of this queue is required")
    })
}

/// Hands a pass to the client: as a header for programs, as a cookie for browsers.
pub(super) fn carry_pass(exchange: &Exchange, pass: &IssuedPass, headers: &mut http::HeaderMap) {
    let seconds = pass.pass.until.seconds_left(exchange.now());
    let secure = exchange.app().config.cookies_secure;
    if let Ok(value) = HeaderValue::try_from(&pass.jwt) {
        headers.insert(Kind::AdmissionPass.header(), value);
    }
    let queue = &pass.pass.slot.queue;
    if let Some(line) = Kind::AdmissionPass.set(queue, &pass.jwt, seconds, secure) {
        headers.append(SET_COOKIE, line);
    }
}

fn placed(
    exchange: &Exchange,
    queue: &QueueId,
    status: StatusCode,
    token: &str,
    standing: &Standing,
) -> Response<Body> {
    let body = JoinedShown {
        token,
        entry: standing.entry,
        number: standing.number,
        ahead: standing.ahead,
        eta_seconds: standing.eta_seconds,
        state: standing.state,
        paused: standing.paused,
        ready_expires_in: standing.ready_expires_in,
        return_expires_in: standing.return_expires_in,
        session_expires_in: standing.session_expires_in,
        poll_after_ms: standing.poll_after_ms,
    };
    let mut answer = response::json(status, &body);
    let config = &exchange.app().config;
    let seconds = config.queue_cookie_seconds.into();
    if let Some(line) = Kind::QueueToken.set(queue, token, seconds, config.cookies_secure) {
        answer.headers_mut().append(SET_COOKIE, line);
    }
    answer
}

async fn once(
    exchange: &Exchange,
    account: &AccountId,
    received: &Received,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    idempotency::once(exchange, account.as_str(), received, work).await
}

fn closed() -> Problem {
    Problem::new(Code::QueueClosed, "the queue is closed")
}
