//! The simulated gateway over HTTP: the process that `tidegate gateway` runs.
mod routes;

use super::SimulatedGateway;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections served at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a request's head may take, and an idle connection stays.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The read buffer of one connection, and so the largest head, in bytes.
const BUFFER_BYTES_MAX: usize = 16 * 1024;
/// How long connections may take to end once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after a failed accept: out of descriptors, mostly.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves until `shutdown`, then finishes the requests in hand.
pub async fn serve(listener: TcpListener, gateway: SimulatedGateway, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    while let Some(stream) = accept(&listener, &permits, &shutdown).await {
        let (stream, permit) = stream;
        let connection = Connection {
            gateway: gateway.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        tasks.spawn(async move {
            connection.run(stream).await;
            drop(permit);
        });
    }
    tasks.close();
    if tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections were still open at the end");
    }
}

/// The next connection with its place; `None` once the server stops.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let next = async {
        let permit = permits.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        next = next => next,
    }
}

struct Connection {
    gateway: SimulatedGateway,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "setting nodelay failed");
        }
        let service = service_fn(|request| {
            let (gateway, tasks) = (self.gateway.clone(), self.tasks.clone());
            // An error here closes the connection without an answer: a lost reply.
            async move { routes::answer(gateway, &tasks, request).await }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
