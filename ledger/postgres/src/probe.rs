//! Whether the server can be reached at all, so that a crowd is refused at once while it is down.
use ledger::{CircuitBreaker, Entry, Probe};
use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

/// How long everybody is refused between two probes.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Remembers that the server was out of reach. The pool waits for one that is down until its own
/// timeout ends; with this only the first callers pay for that.
pub(super) struct ServerProbe {
    address: Address,
    breaker: CircuitBreaker,
}

enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl ServerProbe {
    pub(super) fn of(options: &PgConnectOptions) -> Self {
        let socket = |folder: &std::path::Path| {
            Address::Unix(folder.join(format!(".s.PGSQL.{}", options.get_port())))
        };
        let address = match options.get_socket() {
            Some(folder) => socket(folder),
            None if options.get_host().starts_with('/') => socket(options.get_host().as_ref()),
            None => Address::Tcp(options.get_host().to_owned(), options.get_port()),
        };
        Self { address, breaker: CircuitBreaker::new(PAUSE, PROBE_TIMEOUT) }
    }

    /// False while the server is out of reach. One caller at a time finds out whether it still is.
    pub(super) async fn is_reachable(&self) -> bool {
        match self.breaker.enter(Instant::now()) {
            Entry::Call => true,
            Entry::Refused => false,
            Entry::Probe(probe) => self.connect(&probe).await,
        }
    }

    /// Finds out whether the server takes connections, and remembers it if not.
    pub(super) async fn check(&self) {
        self.connect(&self.breaker.probe()).await;
    }

    async fn connect(&self, probe: &Probe) -> bool {
        let connected = match &self.address {
            Address::Tcp(host, port) => {
                let connecting = TcpStream::connect((host.as_str(), *port));
                matches!(timeout(PROBE_TIMEOUT, connecting).await, Ok(Ok(_)))
            }
            Address::Unix(path) => {
                matches!(timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await, Ok(Ok(_)))
            }
        };
        if connected {
            self.breaker.succeeded(probe, Instant::now());
        } else {
            self.breaker.failed(Instant::now());
        }
        connected
    }
}
