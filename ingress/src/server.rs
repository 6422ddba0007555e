//! The server: accepts connections up to a bound, and drains in order when it is told to stop.
use crate::app::{App, Parts};
use crate::connection;
use crate::front::Front;
use crate::metrics::{self, Cut};
use crate::openapi;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long accepting pauses when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Refusals under way at once; more are closed without a word.
const REFUSALS_MAX: usize = 256;

/// What a connection too many is told.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/problem+json\r\nretry-after: 2\r\nconnection: close\r\n\
    cache-control: no-store\r\ncontent-length: 192\r\n\r\n\
    {\"type\":\"urn:tidegate:problem:unavailable\",\"title\":\"Not available right now\",\
    \"status\":503,\"detail\":\"too many connections are open\",\"code\":\"unavailable\",\
    \"error\":\"too many connections are open\"}";

/// The HTTP side of Tidegate.
pub struct Server {
    front: Arc<Front>,
    connections: TaskTracker,
    permits: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    /// Cuts what is left when the drain has taken too long.
    cut: CancellationToken,
}

impl Server {
    /// Takes handles on the stages behind. Metrics are looked up here: install a recorder before.
    pub fn new(parts: Parts) -> Self {
        let permits = Arc::new(Semaphore::new(parts.config.connections_max));
        let document = openapi::document(&parts.config).to_string();
        let app = App::new(parts, document.into());
        Self {
            front: Arc::new(Front::new(app)),
            connections: TaskTracker::new(),
            permits,
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            cut: CancellationToken::new(),
        }
    }

    /// Serves until `shutdown`, then stops accepting, finishes the requests in hand (those that
    /// only wait for news end early), and closes, all within `drain_timeout_ms`.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        self.connections.spawn(sweep_limits(self.front.app.clone()));
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer.ip()),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        drop(listener);
        self.drain().await;
    }

    fn admit(&self, stream: TcpStream, peer: std::net::IpAddr) {
        metrics::connection_accepted();
        match self.permits.clone().try_acquire_owned() {
            Ok(permit) => {
                let (front, cut) = (self.front.clone(), self.cut.clone());
                self.connections.spawn(async move {
                    connection::serve(front, stream, peer, cut).await;
                    drop(permit);
                });
            }
            Err(_) => {
                metrics::connection_refused();
                if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
                    let timeout = self.front.app.config.refusal_timeout_ms;
                    let timeout = Duration::from_millis(timeout);
                    self.connections.spawn(async move {
                        let refused = tokio::time::timeout(timeout, refuse(stream));
                        // Whether the client heard it or not, it is gone.
                        let _ = refused.await;
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn drain(self) {
        let app = &self.front.app;
        let timeout = Duration::from_millis(app.config.drain_timeout_ms);
        let deadline = Instant::now() + timeout;
        app.draining.cancel();
        self.connections.close();
        app.tasks.close();
        if tokio::time::timeout_at(deadline, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "cutting connections");
            metrics::cut(Cut::Drain);
            self.cut.cancel();
            self.connections.wait().await;
        }
        // Requests whose clients went away; what does not end now is taken up by recovery.
        if tokio::time::timeout_at(deadline, app.tasks.wait()).await.is_err() {
            tracing::warn!(requests = app.tasks.len(), "leaving requests unfinished");
        }
    }
}

/// Lets the limits forget at intervals, until the drain.
async fn sweep_limits(app: Arc<App>) {
    let mut interval =
        tokio::time::interval(Duration::from_millis(app.config.limits_sweep_interval_ms));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.draining.cancelled() => return,
            _ = interval.tick() => {
                app.limits.sweep();
                metrics::limit_keys(app.limits.remembered());
            }
        }
    }
}

/// Tells a connection too many that it is one, and lets it read that.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(REFUSAL).await?;
    stream.shutdown().await?;
    let mut rest = [0u8; 1_024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// A client that is gone again costs nothing; a process without descriptors waits for some.
async fn pause_after(error: &io::Error) {
    let client_is_gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !client_is_gone {
        tracing::warn!(%error, "accepting a connection failed");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_well_formed() {
        let text = std::str::from_utf8(REFUSAL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], crate::problem::Code::Unavailable.name());
        assert_eq!(body["title"], crate::problem::Code::Unavailable.title());
    }
}
