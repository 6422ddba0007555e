//! The line: watching it, joining it, asking where one stands, being admitted, and leaving.
use crate::app::App;
use crate::body::Body;
use crate::cookies::Kind;
use crate::exchange::{Exchange, Outcome, Received};
use crate::idempotency;
use crate::login::Login;
use crate::problem::{Code, Problem};
use crate::response::{self, PUBLIC_SECOND};
use crate::schemas::{Time, answer, describe, describe_enum, shape};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use ledger::{AccountId, Money, QueueId, QueueState, SlotRef};
use std::ops::Range;
use waiting_room::{
    ClaimAnswer, Eta, IssuedPass, JoinAnswer, PlaceState, QueueStatus, QueueToken, Standing,
};

answer! {
    /// A place in line with the token that proves it.
    struct JoinedShown<'a> as "Joined", such as
        r#"{"token": "eyJhbGciOi.eyJzdWIi.c2ln", "state": "waiting", "entry": 17, "number": 17, "now_serving": 0,
            "ahead": 16, "eta_seconds": {"min": 8, "max": 40}, "paused": false, "ready_expires_in": null,
            "return_expires_in": null, "session_expires_in": null, "poll_after_ms": 2000}"# {
        /// Proves the place; browsers get it as a cookie too. Whoever shows it has the place.
        token: &'a str,
        /// The place's entry, which never changes.
        entry: u64,
        /// The place's number in line; null until numbers are drawn.
        number: Option<u64>,
        /// The last number called, as far as this answer knows. Nodes hear of it one after the
        /// other: keep the greatest you saw.
        now_serving: u64,
        /// How many are before this place and not called yet: number - now_serving - 1, 0 once
        /// called, null where nobody knows. It never grows.
        ahead: Option<u64>,
        /// How long it may take; null where nobody knows.
        eta_seconds: Option<Eta>,
        /// Where the place stands.
        state: PlaceState,
        /// Whether the queue is paused.
        paused: bool,
        /// Seconds in which a place that was called has to claim.
        ready_expires_in: Option<i64>,
        /// Seconds in which a place that did not claim may still come back.
        return_expires_in: Option<i64>,
        /// Seconds for which the session goes on.
        session_expires_in: Option<i64>,
        /// When to look again, in milliseconds.
        poll_after_ms: u64,
    }
}

describe! {
    /// Where a place in line stands.
    Standing as "Standing", such as
        r#"{"state": "waiting", "entry": 17, "number": 17, "now_serving": 0,
            "ahead": 16, "eta_seconds": {"min": 8, "max": 40}, "paused": false, "ready_expires_in": null,
            "return_expires_in": null, "session_expires_in": null, "poll_after_ms": 2000}"# {
        /// Where the place stands.
        state: PlaceState,
        /// The place's entry, which never changes.
        entry: u64,
        /// The place's number in line; null until numbers are drawn.
        number: Option<u64>,
        /// The last number called, as far as this answer knows. Nodes hear of it one after the
        /// other: keep the greatest you saw.
        now_serving: u64,
        /// How many are before this place and not called yet: number - now_serving - 1, 0 once
        /// called, null where nobody knows. It never grows.
        ahead: Option<u64>,
        /// How long it may take; null where nobody knows.
        eta_seconds: Option<Eta>,
        /// Whether the queue is paused.
        paused: bool,
        /// Seconds in which a place that was called has to claim.
        ready_expires_in: Option<i64>,
        /// Seconds in which a place that did not claim may still come back.
        return_expires_in: Option<i64>,
        /// Seconds for which the session goes on.
        session_expires_in: Option<i64>,
        /// When to look again, in milliseconds.
        poll_after_ms: u64,
    }
}

describe! {
    /// A range of seconds.
    Eta as "Eta", such as r#"{"min": 8, "max": 40}"# {
        /// The least that it may take.
        min: u64,
        /// The most that it should take.
        max: u64,
    }
}

describe_enum!(PlaceState:
    PreQueue, Waiting, Ready, Returning, Admitted, Missed, Done, SoldOut, Closed);

answer! {
    /// A pass that lets its account lock seats.
    struct PassShown<'a> as "Pass", such as
        r#"{"pass": "eyJhbGciOi.eyJzdWIi.c2ln", "expires_in": 600}"# {
        /// What to send as `Admission-Pass`; browsers get it as a cookie too.
        pass: &'a str,
        /// How long it is valid, in seconds.
        expires_in: i64,
    }
}

shape! {
    /// What a queue tells everyone, the same bytes for all.
    StatusShown as "QueueStatus", such as
        r#"{"queue_id": "evt_1", "state": "open", "order": "arrival",
            "opens_at": "2026-05-01T18:00:00Z", "as_of": "2026-05-01T18:00:09Z",
            "now_serving": 120, "joined": 4000, "rate_per_minute": 600, "seats_available": 4711,
            "price_from": {"minor": 4500, "currency": "EUR"},
            "poll": [[50, 2000], [null, 60000]], "message": null}"# {
        /// The queue's id.
        queue_id: QueueId,
        /// Whether the queue lets people in.
        state: QueueState,
        /// In what order people are called.
        order: String,
        /// When people are called first.
        opens_at: Time,
        /// When this was so.
        as_of: Time,
        /// The last number that was called. A place whose number is not above it may claim; before
        /// any other are number - now_serving - 1 people at most. It never falls.
        now_serving: u64,
        /// How many have joined.
        joined: u64,
        /// How many are called in a minute at most.
        rate_per_minute: u32,
        /// How many seats are free; null where nobody knows.
        seats_available: Option<u64>,
        /// The lowest price; null where nobody knows.
        price_from: Option<Money>,
        /// How often to look by how far one is from the head: pairs of the most that may be ahead
        /// (null for everyone farther away) and milliseconds.
        poll: Vec<Vec<Option<u64>>>,
        /// What the staff tells everyone; null for nothing.
        message: Option<String>,
    }
}

/// The path that a whole crowd polls: no task, no copy of the status, nothing personal. `None`
/// when the status is not in memory.
pub(crate) fn watch_now<B>(
    app: &App,
    request: &Request<B>,
    param: Range<usize>,
) -> Option<Response<Body>> {
    let status = app.room.status_now(request.uri().path().get(param)?)?;
    Some(shown(request.headers(), &status))
}

pub(crate) async fn watch(exchange: Exchange) -> Outcome {
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
    let room = &exchange.app().room;
    let shown = exchange.credential(Kind::QueueToken, queue).map(|shown| shown.text);
    let mut answer = room.join(queue, account, shown).await?;
    if let (JoinAnswer::Same { token, standing }, Some(account)) = (&answer, account)
        && let Some(token) = room.read_token(queue, token)
        && is_of_another(exchange, &token, standing, account).await?
    {
        // A browser may carry the place of somebody who used it before.
        answer = room.join(queue, Some(account), None).await?;
    }
    match answer {
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
    let token = token(&exchange)?;
    // A login is not needed here, so one that is over does no harm.
    let login = exchange.maybe_login().unwrap_or_default();
    let standing = exchange.app().room.standing(&token).await?;
    if let Some(login) = login
        && is_of_another(&exchange, &token, &standing, &login.account).await?
    {
        return Err(token_used());
    }
    let mut answer = response::json(StatusCode::OK, &standing);
    if is_over(standing.state) {
        end_cookies(&exchange, &token.queue, answer.headers_mut());
    }
    Ok(answer)
}

pub(crate) async fn claim(mut exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
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
        ClaimAnswer::NotYet(standing) => {
            Ok(response::passing(response::json(StatusCode::ACCEPTED, &standing)))
        }
        ClaimAnswer::TokenUsed => Err(token_used()),
        ClaimAnswer::Missed => Err(Problem::new(Code::Missed, "the place in line is over")),
        ClaimAnswer::Closed => Err(closed()),
    }
}

pub(crate) async fn leave(exchange: Exchange) -> Outcome {
    let login = exchange.maybe_login().unwrap_or_default();
    for slot in slots_to_leave(&exchange, login.as_ref()).await? {
        exchange.app().room.leave(&slot).await?;
    }
    let mut answer = response::empty(StatusCode::NO_CONTENT);
    end_cookies(&exchange, &exchange.queue()?, answer.headers_mut());
    Ok(answer)
}

/// Every slot and place that the request proves. A browser may still carry the pass of an earlier
/// visit beside the token of its new place, and whoever leaves means both; but nobody who is logged
/// in ends what is another account's.
async fn slots_to_leave(
    exchange: &Exchange,
    login: Option<&Login>,
) -> Result<Vec<SlotRef>, Problem> {
    let queue = exchange.queue()?;
    let shown = exchange.credential(Kind::AdmissionPass, &queue);
    let pass = shown.and_then(|shown| exchange.app().room.read_pass(&queue, shown.text));
    let pass = pass.filter(|pass| login.is_none_or(|login| login.account == pass.account));
    let slots: Vec<SlotRef> = pass.map(|pass| pass.slot).into_iter().collect();
    let token = match token(exchange) {
        Ok(token) => token,
        // The pass is proof enough.
        Err(_) if !slots.is_empty() => return Ok(slots),
        Err(problem) => return Err(problem),
    };
    let Some(login) = login else { return Ok(with_place(slots, &token)) };
    let standing = exchange.app().room.standing(&token).await?;
    if is_of_another(exchange, &token, &standing, &login.account).await? {
        return if slots.is_empty() { Err(token_used()) } else { Ok(slots) };
    }
    Ok(with_place(slots, &token))
}

/// A place whose number was not drawn yet holds nothing to give back.
fn with_place(mut slots: Vec<SlotRef>, token: &QueueToken) -> Vec<SlotRef> {
    slots.extend(slot(token));
    slots.dedup();
    slots
}

/// Whether a place is bound to an account that is not this one: since it was taken, or since it
/// was admitted. Those who only wait cost no look at the books.
async fn is_of_another(
    exchange: &Exchange,
    token: &QueueToken,
    standing: &Standing,
    account: &AccountId,
) -> Result<bool, Problem> {
    if let Some(owner) = &token.account {
        return Ok(owner != account);
    }
    let was_admitted = matches!(standing.state, PlaceState::Admitted | PlaceState::Done);
    let Some(slot) = slot(token).filter(|_| was_admitted) else { return Ok(false) };
    let admission = exchange.app().books.admissions.admission(&slot).await?;
    Ok(admission.is_some_and(|admission| admission.account != *account))
}

fn slot(token: &QueueToken) -> Option<SlotRef> {
    Some(SlotRef { queue: token.queue.clone(), number: token.number? })
}

/// Whether a place has come to its end: what a client carries of it is of no use any more.
pub(super) fn is_over(state: PlaceState) -> bool {
    match state {
        PlaceState::Missed | PlaceState::Done | PlaceState::Closed => true,
        PlaceState::PreQueue
        | PlaceState::Waiting
        | PlaceState::Ready
        | PlaceState::Returning
        | PlaceState::Admitted
        | PlaceState::SoldOut => false,
    }
}

fn end_cookies(exchange: &Exchange, queue: &QueueId, headers: &mut HeaderMap) {
    let secure = exchange.app().config.cookies_secure;
    for kind in [Kind::QueueToken, Kind::AdmissionPass] {
        for line in kind.end(queue, secure) {
            headers.append(SET_COOKIE, line);
        }
    }
}

/// The place in line that the request proves.
pub(super) fn token(exchange: &Exchange) -> Result<QueueToken, Problem> {
    let queue = exchange.queue()?;
    let shown = exchange.credential(Kind::QueueToken, &queue);
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
    for line in Kind::AdmissionPass.set(queue, &pass.jwt, seconds, secure) {
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
        now_serving: standing.now_serving,
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
    for line in Kind::QueueToken.set(queue, token, seconds, config.cookies_secure) {
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

fn token_used() -> Problem {
    Problem::new(Code::TokenUsed, "the place belongs to another account")
}

fn closed() -> Problem {
    Problem::new(Code::QueueClosed, "the queue is closed")
}
