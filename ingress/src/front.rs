//! The way of every request: limits, route, handler, and what all answers have in common.
use crate::api;
use crate::body::Body;
use crate::connection::Peer;
use crate::cors;
use crate::exchange::{Exchange, Outcome};
use crate::metrics::{self, RouteMetrics};
use crate::network::client_address;
use crate::pace::Turn;
use crate::problem::{Code, Problem, chain};
use crate::request_id;
use crate::response;
use crate::router::{Found, Known};
use crate::routes::{Handler, Run};
use crate::surviving::Surviving;
use futures_util::FutureExt;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, HOST, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, request};
use hyper::body::{Body as _, Incoming};
use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::time::Instant;

/// Where the path of a request has led so far; what its log line and metrics are named by.
struct Way<'p> {
    template: &'static str,
    metrics: &'p RouteMetrics,
}

/// Answers one request.
pub(crate) async fn answer(
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let turn = Turn::begin(&peer.pace);
    let started = Instant::now();
    let app = &peer.app;
    let (head, body) = request.into_parts();
    let id = request_id::shown(&head.headers);
    let origin = cors::allowed(&head.headers, &app.config.cors_origins);
    let method = head.method.clone();
    let sends_body = !body.is_end_stream();
    let found = app.router.find(&method, head.uri.path());
    let mut way = Way { template: "unmatched", metrics: &app.router.unmatched };
    let mut is_watch = false;
    let outcome = match (admit(&peer, &head), found) {
        (Err(refused), _) => Err(refused),
        (Ok(_), found) if method == Method::OPTIONS => options(&found, origin.is_some()),
        (Ok(client), Found::Route(known, param)) => {
            way = Way { template: known.route.path, metrics: &known.metrics };
            match known.route.run {
                Run::Watch => {
                    is_watch = true;
                    api::queue::watch(app, &head, param).await
                }
                Run::Read(_) | Run::Change(_) => {
                    carry_out(&peer, known, client, head, body, param).await
                }
            }
        }
        (Ok(_), Found::OtherMethods(allow)) => {
            let detail = "this address does not take that method";
            Err(Problem::new(Code::Method, detail).allowing(allow.clone()))
        }
        (Ok(_), Found::Nothing) => Err(Problem::not_found("there is nothing at this address")),
    };
    // Everyone shares what watchers get; an id of one request would only make it longer.
    let id = id.or_else(|| (!is_watch).then(|| request_id::mint(&app.ids)).flatten());
    let mut answer = outcome.unwrap_or_else(|problem| told(problem, id.as_ref(), way.template));
    finish(&mut answer, id.as_ref());
    cors::finish(&mut answer, origin, !app.config.cors_origins.is_empty());
    if sends_body && (answer.status().as_u16() >= 400 || answer.headers().contains_key(CONNECTION))
    {
        peer.pace.linger();
    }
    let took = started.elapsed();
    way.metrics.answered(answer.status(), took);
    tracing::debug!(
        target: "ingress::access",
        {
            request.id = id.as_ref().and_then(|id| id.to_str().ok()),
            method = method.as_str(),
            route = way.template,
            status = answer.status().as_u16(),
            micros = took.as_micros(),
        },
        "answered"
    );
    Ok(answer.map(|body| body.with_turn(turn)))
}

/// Limits, and the shapes of a head that HTTP/1.1 forbids but hyper lets pass.
fn admit(peer: &Peer, head: &request::Parts) -> Result<IpAddr, Problem> {
    let app = &peer.app;
    let client = client_address(peer.address, &head.headers, &app.config.trusted_proxies);
    app.limits.request(client)?;
    let mut hosts = head.headers.get_all(HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() || (first.is_none() && head.version == Version::HTTP_11) {
        let detail = "a request has exactly one Host field";
        return Err(Problem::new(Code::Malformed, detail).closing());
    }
    Ok(client)
}

/// Runs a handler. One that changes something goes on when its client goes away (rule 18).
async fn carry_out(
    peer: &Arc<Peer>,
    known: &Known,
    client: IpAddr,
    head: request::Parts,
    body: Incoming,
    param: Range<usize>,
) -> Outcome {
    let exchange = Exchange { peer: peer.clone(), client, head, body: Some(body), param };
    let run = |handler: Handler| AssertUnwindSafe(handler(exchange)).catch_unwind();
    let ended = match known.route.run {
        Run::Read(handler) => run(handler).await,
        Run::Change(handler) => Surviving::new(run(handler), &peer.app.tasks).await,
        Run::Watch => return Err(Problem::new(Code::Internal, "the watch path is answered above")),
    };
    ended.unwrap_or_else(|_panic| {
        metrics::panicked();
        Err(Problem::new(Code::Internal, "it was logged"))
    })
}

fn options(found: &Found<'_>, is_allowed_origin: bool) -> Outcome {
    let allow = match found {
        Found::OtherMethods(allow) => (*allow).clone(),
        Found::Route(..) | Found::Nothing => {
            return Err(Problem::not_found("there is nothing at this address"));
        }
    };
    let mut answer = response::empty(StatusCode::NO_CONTENT);
    if is_allowed_origin {
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
