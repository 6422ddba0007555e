//! The way of every request: limits, route, handler, and what all answers have in common.
use crate::api;
use crate::app::App;
use crate::body::Body;
use crate::cors;
use crate::exchange::{Exchange, Outcome};
use crate::metrics::{self, RouteMetrics};
use crate::network::client_address;
use crate::pace::{Pace, Turn};
use crate::problem::{Code, Problem, chain};
use crate::request_id;
use crate::response;
use crate::router::{Found, Router};
use crate::routes::{Handler, Run};
use crate::surviving::Surviving;
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
    pub pace: Arc<Pace>,
}

impl Peer {
    fn app(&self) -> &Arc<App> {
        &self.front.app
    }
}

/// What the log line and the metrics of a request are named by.
struct Way {
    template: &'static str,
    metrics: Arc<RouteMetrics>,
    is_watch: bool,
}

impl Way {
    fn of(found: &Found<'_>, unmatched: &Arc<RouteMetrics>) -> Self {
        match found {
            Found::Route(known, _) => Self {
                template: known.route.path,
                metrics: known.metrics.clone(),
                is_watch: matches!(known.route.run, Run::Watch(_)),
            },
            Found::OtherMethods(_) | Found::Nothing => {
                Self { template: "unmatched", metrics: unmatched.clone(), is_watch: false }
            }
        }
    }
}

/// Answers one request. It is our turn from now on, not only once the future is polled: hyper
/// looks at the socket in between.
pub(crate) fn answer(peer: &Arc<Peer>, request: Request<Incoming>) -> Answering {
    let turn = Turn::begin(&peer.pace);
    let started = Instant::now();
    let app = peer.app();
    let router = &peer.front.router;
    let asked = Asked::of(&request, &app.config.cors_origins);
    let found = router.find(request.method(), request.uri().path());
    let way = Way::of(&found, &router.unmatched);
    let work = begin(peer, request, &asked, found);
    let open = Open { peer: peer.clone(), asked, way, turn, started };
    match work {
        Ok(Work::Told(answer)) => Answering::Told(Some(open.concluded(Ok(answer)))),
        Ok(Work::Carried(handler)) => Answering::Carried(Some(open), handler),
        Err(problem) => Answering::Told(Some(open.concluded(Err(problem)))),
    }
}

/// What a request comes to before anybody waits.
enum Work {
    Told(Response<Body>),
    Carried(Carried),
}

/// A handler under way.
pub(crate) enum Carried {
    /// Ends with its client.
    Along(Running),
    /// Goes on when its client goes away (`effects-outlive-clients`).
    Through(Surviving<Running>),
}

fn begin(
    peer: &Arc<Peer>,
    request: Request<Incoming>,
    asked: &Asked,
    found: Found<'_>,
) -> Result<Work, Problem> {
    let client = admit(peer, &request)?;
    let (known, param) = match found {
        found if asked.method == Method::OPTIONS => return options(&found, asked).map(Work::Told),
        Found::OtherMethods(allow) => return Err(other_methods(allow)),
        Found::Nothing => return Err(nothing_here()),
        Found::Route(known, param) => (known, param),
    };
    if let Run::Watch(_) = known.route.run
        && let Some(board) = api::queue::watch_now(peer.app(), &request, param.clone())
    {
        return Ok(Work::Told(board));
    }
    let exchange = Exchange::new(peer.app(), client, request, param);
    Ok(Work::Carried(match known.route.run {
        Run::Watch(handler) | Run::Read(handler) => Carried::Along(run(handler, exchange)),
        Run::Change(handler) => {
            Carried::Through(Surviving::new(run(handler, exchange), &peer.app().tasks))
        }
    }))
}

/// A request whose answer is not known yet.
pub(crate) struct Open {
    peer: Arc<Peer>,
    asked: Asked,
    way: Way,
    turn: Turn,
    started: Instant,
}

impl Open {
    fn concluded(self, outcome: Outcome) -> Response<Body> {
        let Self { peer, asked, way, turn, started } = self;
        conclude(&peer, asked, &way, outcome, started).map(|body| body.with_turn(turn))
    }
}

/// An answer on its way. Every open connection keeps room for one, so it is small: what a handler
/// holds across its waits is in a box of its own, and what is known at once needs none.
pub(crate) enum Answering {
    Told(Option<Response<Body>>),
    Carried(Option<Open>, Carried),
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match self.get_mut() {
            Self::Told(answer) => answer.take(),
            Self::Carried(open, handler) => {
                let ended = ready!(match handler {
                    Carried::Along(running) => Pin::new(running).poll(cx),
                    Carried::Through(running) => Pin::new(running).poll(cx),
                });
                open.take().map(|open| {
                    let outcome = carried_out(open.way.template, ended);
                    open.concluded(outcome)
                })
            }
        };
        Poll::Ready(Ok(answer.expect("a future is not polled after it is ready")))
    }
}

/// What is still needed of a request when its answer is there.
struct Asked {
    method: Method,
    id: Option<HeaderValue>,
    /// Its origin, if that one's pages may call.
    origin: Option<HeaderValue>,
    sends_body: bool,
}

impl Asked {
    fn of(request: &Request<Incoming>, origins: &[String]) -> Self {
        Self {
            method: request.method().clone(),
            id: request_id::shown(request.headers()),
            origin: cors::allowed(request.headers(), origins),
            sends_body: !request.body().is_end_stream(),
        }
    }
}

/// What all answers have in common; counts and logs the request.
fn conclude(
    peer: &Peer,
    asked: Asked,
    way: &Way,
    outcome: Outcome,
    started: Instant,
) -> Response<Body> {
    let app = peer.app();
    // Everyone shares what watchers get; an id of one request would only make it longer.
    let minted = || (!way.is_watch).then(|| request_id::mint(&app.ids)).flatten();
    let id = asked.id.or_else(minted);
    let mut answer = outcome.unwrap_or_else(|problem| told(problem, id.as_ref(), way.template));
    finish(&mut answer, id.as_ref());
    cors::finish(&mut answer, asked.origin, !app.config.cors_origins.is_empty());
    let status = answer.status();
    let closes = || status.as_u16() >= 400 || answer.headers().contains_key(CONNECTION);
    if asked.sends_body && closes() {
        peer.pace.linger();
    }
    let took = started.elapsed();
    way.metrics.answered(status, took);
    tracing::debug!(
        target: "ingress::access",
        {
            request.id = id.as_ref().and_then(|id| id.to_str().ok()),
            method = asked.method.as_str(),
            route = way.template,
            status = status.as_u16(),
            micros = took.as_micros(),
        },
        "answered"
    );
    answer
}

type Running = CatchUnwind<AssertUnwindSafe<BoxFuture<'static, Outcome>>>;

fn run(handler: Handler, exchange: Exchange) -> Running {
    AssertUnwindSafe(handler(exchange)).catch_unwind()
}

/// A handler that panicked has told the panic hook already; the client gets an answer too.
fn carried_out(route: &'static str, ended: std::thread::Result<Outcome>) -> Outcome {
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

fn other_methods(allow: &HeaderValue) -> Problem {
    let detail = "this address does not take that method";
    Problem::new(Code::Method, detail).allowing(allow.clone())
}

fn nothing_here() -> Problem {
    Problem::not_found("there is nothing at this address")
}

fn options(found: &Found<'_>, asked: &Asked) -> Outcome {
    let allow = match found {
        Found::OtherMethods(allow) => (*allow).clone(),
        Found::Route(..) | Found::Nothing => return Err(nothing_here()),
    };
    let mut answer = response::empty(StatusCode::NO_CONTENT);
    if asked.origin.is_some() {
        cors::preflight(answer.headers_mut(), &allow);
    }
    answer.headers_mut().insert(ALLOW, allow);
    Ok(answer)
}

/// Logs what is ours to mend, once, and makes the answer.
fn told(problem: Problem, id: Option<&HeaderValue>, route: &'static str) -> Response<Body> {
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
    if code == Code::Slow {
        metrics::cut(metrics::Cut::SlowBody);
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
    fn a_request_in_hand_stays_small() {
        let bytes = size_of::<Answering>();
        assert!(bytes <= 320, "{bytes} bytes");
    }
}
