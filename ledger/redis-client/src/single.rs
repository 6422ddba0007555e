//! One server: one multiplexed connection, made anew when it is gone.
use super::fault::Fault;
use super::{RedisBounds, RedisFailure};
use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, PushInfo, PushKind, Value};
use ledger::{CircuitBreaker, lock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};

/// How long everybody is refused after connecting failed.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Single {
    client: Client,
    bounds: RedisBounds,
    /// The connection, once it was made; it may be gone again.
    connection: Mutex<Option<Connection>>,
    breaker: CircuitBreaker,
    /// Whoever has it connects; the others wait for what comes of it.
    connecting: AsyncMutex<()>,
}

#[derive(Clone)]
struct Connection {
    multiplexed: MultiplexedConnection,
    /// Set as soon as the client hears that the connection is gone.
    gone: Arc<AtomicBool>,
}

impl Single {
    pub(super) fn new(info: ConnectionInfo, bounds: RedisBounds) -> Result<Self, RedisFailure> {
        let client = Client::open(info).map_err(|source| RedisFailure::Address { source })?;
        let probe_timeout = Duration::from_millis(bounds.connect_timeout_ms);
        let breaker = CircuitBreaker::new(PAUSE, probe_timeout);
        let (connection, connecting) = (Mutex::default(), AsyncMutex::new(()));
        Ok(Self { client, bounds, connection, breaker, connecting })
    }

    pub(super) async fn connect(&self) -> Result<(), Fault> {
        self.connected().await.map(|_| ())
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, Fault> {
        let mut connection = match self.ready() {
            Some(ready) => ready?,
            None => self.connected().await?,
        };
        let reply = Fault::sorted(connection.multiplexed.send_packed_command(command).await);
        if reply.as_ref().is_err_and(Fault::ends_connection) {
            connection.close();
        }
        reply
    }

    /// What there is without waiting; `None` when somebody has to connect.
    fn ready(&self) -> Option<Result<Connection, Fault>> {
        let connection = lock(&self.connection);
        match &*connection {
            Some(open) if !open.gone.load(Ordering::Acquire) => Some(Ok(open.clone())),
            Some(_) | None => {
                self.breaker.refuses(Instant::now()).then_some(Err(Fault::Unreachable))
            }
        }
    }

    /// One caller connects; whoever else comes meanwhile waits for what comes of it.
    async fn connected(&self) -> Result<Connection, Fault> {
        let _one_connects = self.connecting.lock().await;
        if let Some(ready) = self.ready() {
            return ready;
        }
        let probe = self.breaker.probe();
        let dialled = self.dial().await;
        match &dialled {
            Ok(connection) => {
                *lock(&self.connection) = Some(connection.clone());
                self.breaker.succeeded(&probe, Instant::now());
            }
            Err(fault) => {
                tracing::warn!(error = fault as &dyn std::error::Error, "redis is out of reach");
                self.breaker.failed(Instant::now());
            }
        }
        dialled
    }

    async fn dial(&self) -> Result<Connection, Fault> {
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
            Ok(Ok(multiplexed)) => Ok(Connection { multiplexed, gone }),
            Ok(Err(error)) => Err(Fault::Connect(error)),
            Err(_) => {
                Err(Fault::Connect(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
            }
        }
    }
}

impl Connection {
    /// Nobody uses this connection from now on; a newer one stays.
    fn close(&self) {
        self.gone.store(true, Ordering::Release);
    }
}
