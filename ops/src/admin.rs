//! The admin listener: is it alive, is it ready, and the numbers. Never on the public port.
use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ledger::lock;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// An operator's request is tiny; whoever takes longer to send its head is cut.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Upper bounds in seconds, from a cached read to a slow gateway.
const LATENCY_BUCKETS: [f64; 14] =
    [0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Whether this node takes traffic. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    serving: bool,
    /// Stores that do not answer.
    away: Vec<&'static str>,
}

impl Readiness {
    pub(crate) fn set(&self, serving: bool) {
        self.state().serving = serving;
    }

    pub(crate) fn set_away(&self, stores: Vec<&'static str>) {
        self.state().away = stores;
    }

    fn answer(&self) -> Response<Full<Bytes>> {
        let state = self.state();
        if !state.serving {
            return text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n");
        }
        if !state.away.is_empty() {
            let away = format!("not ready: {} away\n", state.away.join(", "));
            return text(StatusCode::SERVICE_UNAVAILABLE, away);
        }
        text(StatusCode::OK, "ready\n")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// Makes this process's metrics recorder; every crate describes its own metrics.
pub(crate) fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&LATENCY_BUCKETS)
        .context("choosing the histogram buckets")?
        .install_recorder()
        .context("installing the metrics recorder")?;
    ledger::metrics::describe();
    waiting_room::metrics::describe();
    allocator::metrics::describe();
    payment_worker::metrics::describe();
    ingress::metrics::describe();
    crate::metrics::describe();
    Ok(recorder)
}

/// How often samples are folded into their histograms, scraped or not: what waits takes memory.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Keeps the metrics small until told to stop.
pub(crate) async fn keep_metrics(metrics: PrometheusHandle, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(UPKEEP_EVERY);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        metrics.run_upkeep();
    }
}

/// What the admin listener answers from.
pub(crate) struct Admin {
    pub(crate) readiness: Readiness,
    pub(crate) metrics: PrometheusHandle,
}

impl Admin {
    /// Serves until told to stop.
    pub(crate) async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let admin = Arc::new(self);
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, most likely; give others time to close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let admin = admin.clone();
            let stop = shutdown.clone();
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let answer = admin.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .max_buf_size(16 * 1024)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    result = served => {
                        if let Err(error) = result {
                            tracing::debug!(%error, "an admin connection ended badly");
                        }
                    }
                    () = stop.cancelled() => {}
                }
            });
        }
        connections.close();
        connections.wait().await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET"));
            return refused;
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "alive\n"),
            "/readyz" => self.readiness.answer(),
            "/metrics" => {
                crate::metrics::refresh();
                text(StatusCode::OK, self.metrics.render())
            }
            _ => text(StatusCode::NOT_FOUND, "only /livez, /readyz and /metrics\n"),
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
