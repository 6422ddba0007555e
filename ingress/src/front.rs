//! The route of every request: limits, route, handler, and what all answers have in common.
use crate::activity::{ActiveRequest, Activity};
use crate::api;
use crate::app::App;
use crate::body::Body;
use crate::cors;
use crate::cross_site;
use crate::detach_on_drop::DetachOnDrop;
use crate::exchange::{Exchange, Outcome};
use crate::head::BadHead;
use crate::metrics::{self, RouteMetrics};
use crate::network::client_address;
use crate::problem::{Code, Problem, chain};
use crate::request_id;
use crate::response;
use crate::router::{RouteMatch, Router};
use crate::routes::{Handler, Run};
use crate::socket::REFUSED;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, CatchUnwind};
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, HOST, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span, field};

/// What answers requests: the routes before, the stages behind.
pub(crate) struct Front {
    pub app: Arc<App>,
    router: Router,
}

impl Front {
    pub(crate) fn new(app: App) -> Self {
        Self { app: Arc::new(app), router: Router::new() }
    }
}

/// What every request of a connection shares.
pub(crate) struct Peer {
    pub front: Arc<Front>,
    pub address: IpAddr,
    pub activity: Arc<Activity>,
}

impl Peer {
    fn app(&self) -> &Arc<App> {
        &self.front.app
    }
}

/// What the log line and the metrics of a request are named by.
struct RouteInfo {
    template: &'static str,
    metrics: Arc<RouteMetrics>,
    is_watch: bool,
}

impl RouteInfo {
    fn of(found: &RouteMatch<'_>, unmatched: &Arc<RouteMetrics>) -> Self {
        match found {
            RouteMatch::Route(known, _) => Self {
                template: known.route.path,
                metrics: known.metrics.clone(),
                is_watch: matches!(known.route.run, Run::Watch(_)),
            },
            RouteMatch::OtherMethods(_) | RouteMatch::Nothing => {
                Self { template: "unmatched", metrics: unmatched.clone(), is_watch: false }
            }
        }
    }
}

/// Answers one request. It counts as being answered from now on, not only once the future
/// is polled: hyper looks at the socket in between.
pub(crate) fn answer(peer: &Arc<Peer>, request: Request<Incoming>) -> Answering {
    let active = ActiveRequest::begin(&peer.activity);
    let started = Instant::now();
    let app = peer.app();
    let router = &peer.front.router;
    let found = router.find(request.method(), request.uri().path());
    let route = RouteInfo::of(&found, &router.unmatched);
    let info = RequestInfo::of(&request, app, &route);
    let work = begin(peer, request, &info, found);
    let span = Span::none();
    let in_flight = InFlight { peer: peer.clone(), info, route, active, started, span };
    match work {
        Ok(Work::Ready(answer)) => Answering::Ready(Some(in_flight.conclude(Ok(answer)))),
        Ok(Work::Pending(handler, span)) => {
            Answering::Pending(Some(InFlight { span, ..in_flight }), handler)
        }
        Err(problem) => Answering::Ready(Some(in_flight.conclude(Err(problem)))),
    }
}

/// What a request comes to before anybody waits.
enum Work {
    Ready(Response<Body>),
    Pending(Handling, Span),
}

/// A handler that has begun.
pub(crate) enum Handling {
    /// Ends with its client.
    WithClient(Running),
    /// Goes on when its client goes away (`effects-outlive-clients`).
    ToCompletion(DetachOnDrop<Running>),
}

fn begin(
    peer: &Arc<Peer>,
    request: Request<Incoming>,
    info: &RequestInfo,
    found: RouteMatch<'_>,
) -> Result<Work, Problem> {
    if let Some(why) = peer.activity.refused().filter(|_| request.headers().contains_key(REFUSED)) {
        return Err(bad_head(why));
    }
    let client = admit(peer, &request)?;
    let (known, param) = match found {
        found if info.method == Method::OPTIONS => return options(&found, info).map(Work::Ready),
        RouteMatch::OtherMethods(allow) => return Err(other_methods(allow)),
        RouteMatch::Nothing => return Err(no_route()),
        RouteMatch::Route(known, param) => (known, param),
    };
    if known.route.cookies {
        cross_site::check(request.headers(), &peer.app().config.cors_origins)?;
    }
    if let Run::Watch(_) = known.route.run
        && let Some(status) = api::queue::watch_now(peer.app(), &request, param.clone())
    {
        return Ok(Work::Ready(status));
    }
    let span = info.span(known.route.path);
    let exchange = Exchange::new(peer.app(), client, request, param);
    let run = |handler| run(handler, exchange, span.clone());
    let handling = match known.route.run {
        Run::Watch(handler) | Run::Read(handler) => Handling::WithClient(run(handler)),
        Run::Change(handler) => {
            Handling::ToCompletion(DetachOnDrop::new(run(handler), &peer.app().tasks))
        }
    };
    Ok(Work::Pending(handling, span))
}

/// A request whose answer is not known yet.
pub(crate) struct InFlight {
    peer: Arc<Peer>,
    info: RequestInfo,
    route: RouteInfo,
    active: ActiveRequest,
    started: Instant,
    span: Span,
}

impl InFlight {
    fn conclude(self, outcome: Outcome) -> Response<Body> {
        let Self { peer, info, route, active, started, span } = self;
        let answer = span.in_scope(|| conclude(&peer, info, &route, outcome, started));
        span.record("status", answer.status().as_u16());
        answer.map(|body| body.with_guard(active))
    }
}

/// An answer that is being made. Every open connection keeps room for one, so it is small: what a
/// handler holds across its waits is in a box of its own, and what is known at once needs none.
pub(crate) enum Answering {
    Ready(Option<Response<Body>>),
    Pending(Option<InFlight>, Handling),
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match self.get_mut() {
            Self::Ready(answer) => answer.take(),
            Self::Pending(in_flight, handler) => {
                let ended = ready!(match handler {
                    Handling::WithClient(running) => Pin::new(running).poll(cx),
                    Handling::ToCompletion(running) => Pin::new(running).poll(cx),
                });
                in_flight.take().map(|in_flight| {
                    let outcome = caught(in_flight.route.template, ended);
                    in_flight.conclude(outcome)
                })
            }
        };
        Poll::Ready(Ok(answer.expect("a future is not polled after it is ready")))
    }
}

/// What is still needed of a request when its answer is there.
struct RequestInfo {
    method: Method,
    id: Option<HeaderValue>,
    /// Its origin, if that one's pages may call.
    origin: Option<HeaderValue>,
    sends_body: bool,
}

impl RequestInfo {
    fn of(request: &Request<Incoming>, app: &App, route: &RouteInfo) -> Self {
        // Everyone shares what watchers get; an id of one request would only make it longer.
        let minted = || (!route.is_watch).then(|| request_id::mint(&app.ids)).flatten();
        Self {
            method: request.method().clone(),
            id: request_id::shown(request.headers()).or_else(minted),
            origin: cors::allowed(request.headers(), &app.config.cors_origins),
            sends_body: !request.body().is_end_stream(),
        }
    }

    /// What everything that is logged while the request is handled belongs to. Handlers add the
    /// ids that they meet; no secret and nothing of a body is ever a field.
    fn span(&self, route: &'static str) -> Span {
        tracing::debug_span!(
            target: "ingress::request",
            "request",
            request.id = self.id.as_ref().and_then(|id| id.to_str().ok()),
            method = self.method.as_str(),
            route,
            status = field::Empty,
            event.id = field::Empty,
            queue.id = field::Empty,
            hold.id = field::Empty,
            booking.id = field::Empty,
        )
    }
}

/// What all answers have in common; counts and logs the request.
fn conclude(
    peer: &Peer,
    info: RequestInfo,
    route: &RouteInfo,
    outcome: Outcome,
    started: Instant,
) -> Response<Body> {
    let app = peer.app();
    let id = info.id;
    let mut answer =
        outcome.unwrap_or_else(|problem| refusal(problem, id.as_ref(), route.template));
    finish(&mut answer, id.as_ref());
    cors::finish(&mut answer, info.origin, !app.config.cors_origins.is_empty());
    let status = answer.status();
    let closes = || status.as_u16() >= 400 || answer.headers().contains_key(CONNECTION);
    if info.sends_body && closes() {
        peer.activity.linger();
    }
    let took = started.elapsed();
    route.metrics.answered(status, took);
    tracing::debug!(
        target: "ingress::access",
        {
            request.id = id.as_ref().and_then(|id| id.to_str().ok()),
            method = info.method.as_str(),
            route = route.template,
            status = status.as_u16(),
            micros = took.as_micros(),
        },
        "answered"
    );
    answer
}

type Running = CatchUnwind<AssertUnwindSafe<Instrumented<BoxFuture<'static, Outcome>>>>;

fn run(handler: Handler, exchange: Exchange, span: Span) -> Running {
    AssertUnwindSafe(handler(exchange).instrument(span)).catch_unwind()
}

/// The panic hook has run already; the client gets an answer too.
fn caught(route: &'static str, ended: std::thread::Result<Outcome>) -> Outcome {
    ended.unwrap_or_else(|_panic| {
        metrics::panicked();
        tracing::error!(route, "a handler panicked");
        Err(Problem::new(Code::Internal, "it was logged"))
    })
}

/// Limits, and the shapes of a head that HTTP/1.1 forbids but hyper lets pass.
fn admit(peer: &Peer, request: &Request<Incoming>) -> Result<IpAddr, Problem> {
    let app = peer.app();
    let headers = request.headers();
    let client = client_address(peer.address, headers, &app.config.trusted_proxies);
    app.limits.request(client)?;
    let mut hosts = headers.get_all(HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() || (first.is_none() && request.version() == Version::HTTP_11) {
        let detail = "a request has exactly one Host field";
        return Err(Problem::new(Code::Malformed, detail).closing());
    }
    Ok(client)
}

/// The answer to a request whose head is refused.
fn bad_head(why: BadHead) -> Problem {
    let code = match why {
        BadHead::TooLong | BadHead::TooManyFields => Code::HeadTooLarge,
        BadHead::Slow => Code::Slow,
        BadHead::BareLineFeed
        | BadHead::Malformed
        | BadHead::LengthTwice
        | BadHead::Length
        | BadHead::TransferCoding => Code::Malformed,
    };
    Problem::new(code, why.to_string()).closing()
}

fn other_methods(allow: &HeaderValue) -> Problem {
    let detail = "this address does not take that method";
    Problem::new(Code::Method, detail).allowing(allow.clone())
}

fn no_route() -> Problem {
    Problem::not_found("there is nothing at this address")
}

fn options(found: &RouteMatch<'_>, info: &RequestInfo) -> Outcome {
    let allow = match found {
        RouteMatch::OtherMethods(allow) => (*allow).clone(),
        RouteMatch::Route(..) | RouteMatch::Nothing => return Err(no_route()),
    };
    let mut answer = response::empty(StatusCode::NO_CONTENT);
    if info.origin.is_some() {
        cors::preflight(answer.headers_mut(), &allow);
    }
    answer.headers_mut().insert(ALLOW, allow);
    Ok(answer)
}

/// Logs what the server is to blame for, once, and makes the answer.
fn refusal(problem: Problem, id: Option<&HeaderValue>, route: &'static str) -> Response<Body> {
    let id = id.and_then(|id| id.to_str().ok());
    let code = problem.code();
    match problem.cause() {
        Some(cause) if code == Code::Internal => {
            tracing::error!(request.id = id, route, error = chain(cause), "request failed");
        }
        Some(cause) => {
            tracing::warn!(request.id = id, route, error = chain(cause), "request not carried out");
        }
        None => {}
    }
    problem.into_response()
}

fn finish(answer: &mut Response<Body>, id: Option<&HeaderValue>) {
    let headers: &mut HeaderMap = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(id) = id {
        headers.insert(request_id::HEADER, id.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every open connection keeps one such future.
    #[test]
    fn a_request_in_flight_stays_small() {
        let bytes = size_of::<Answering>();
        assert!(bytes <= 320, "{bytes} bytes");
    }
}
