//! One server: one multiplexed connection, made anew when it is gone.
use super::fault::Fault;
use super::{RedisBounds, RedisFailure};
use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, PushInfo, PushKind, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};

/// How long everybody is refused after connecting failed.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Single {
    client: Client,
    bounds: RedisBounds,
    line: Mutex<Line>,
    /// Whoever has it connects; the others wait for what comes of it.
    connecting: AsyncMutex<()>,
}

#[derive(Clone)]
enum Line {
    Up(Wire),
    /// Connecting failed; not again before this.
    Down(Instant),
    /// Not connected yet, or no more.
    Cut,
}

#[derive(Clone)]
struct Wire {
    connection: MultiplexedConnection,
    /// Set as soon as the client hears that the connection is gone.
    gone: Arc<AtomicBool>,
}

impl Single {
    pub(super) fn new(info: ConnectionInfo, bounds: RedisBounds) -> Result<Self, RedisFailure> {
        let client = Client::open(info).map_err(|source| RedisFailure::Address { source })?;
        Ok(Self { client, bounds, line: Mutex::new(Line::Cut), connecting: AsyncMutex::new(()) })
    }

    pub(super) async fn connect(&self) -> Result<(), Fault> {
        self.wire().await.map(|_| ())
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, Fault> {
        let mut wire = match self.ready() {
            Some(ready) => ready?,
            None => self.wire().await?,
        };
        let reply = Fault::sorted(wire.connection.send_packed_command(command).await);
        if reply.as_ref().is_err_and(Fault::ends_connection) {
            wire.cut();
        }
        reply
    }

    /// What there is without waiting; `None` when somebody has to connect.
    fn ready(&self) -> Option<Result<Wire, Fault>> {
        match &*self.line.lock().unwrap_or_else(PoisonError::into_inner) {
            Line::Up(wire) if !wire.gone.load(Ordering::Acquire) => Some(Ok(wire.clone())),
            Line::Down(until) if Instant::now() < *until => Some(Err(Fault::Unreachable)),
            Line::Up(_) | Line::Down(_) | Line::Cut => None,
        }
    }

    async fn wire(&self) -> Result<Wire, Fault> {
        let _one_connects = self.connecting.lock().await;
        if let Some(ready) = self.ready() {
            return ready;
        }
        let made = self.dial().await;
        let line = match &made {
            Ok(wire) => Line::Up(wire.clone()),
            Err(fault) => {
                tracing::warn!(error = fault as &dyn std::error::Error, "redis is out of reach");
                Instant::now().checked_add(PAUSE).map_or(Line::Cut, Line::Down)
            }
        };
        self.set(line);
        made
    }

    async fn dial(&self) -> Result<Wire, Fault> {
        let limit = Duration::from_millis(self.bounds.connect_timeout_ms);
        let gone = Arc::new(AtomicBool::new(false));
        let heard = gone.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(Duration::from_millis(self.bounds.response_timeout_ms)))
            .set_pipeline_buffer_size(self.bounds.inflight_max)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    heard.store(true, Ordering::Release);
                }
                Ok::<(), ::redis::aio::SendError>(())
            });
        let dialled = self.client.get_multiplexed_async_connection_with_config(&config);
        match timeout(limit, dialled).await {
            Ok(Ok(connection)) => Ok(Wire { connection, gone }),
            Ok(Err(error)) => Err(Fault::Connect(error)),
            Err(_) => {
                Err(Fault::Connect(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
            }
        }
    }

    fn set(&self, line: Line) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }
}

impl Wire {
    /// Nobody uses this connection from now on; a newer one stays.
    fn cut(&self) {
        self.gone.store(true, Ordering::Release);
    }
}
