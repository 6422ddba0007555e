//! Whether the server can be reached at all, so that a crowd is refused at once while it is down.
use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

/// How long everybody is refused between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a look may take.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// Remembers that the server was out of reach. The pool waits for one that is down until its own
/// timeout ends; with this only the first callers pay for that.
pub(super) struct Reach {
    address: Address,
    /// `Some` while the server is taken for down: when to look again.
    look_at: Mutex<Option<Instant>>,
}

enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Reach {
    pub(super) fn of(options: &PgConnectOptions) -> Self {
        let socket = |folder: &std::path::Path| {
            Address::Unix(folder.join(format!(".s.PGSQL.{}", options.get_port())))
        };
        let address = match options.get_socket() {
            Some(folder) => socket(folder),
            None if options.get_host().starts_with('/') => socket(options.get_host().as_ref()),
            None => Address::Tcp(options.get_host().to_owned(), options.get_port()),
        };
        Self { address, look_at: Mutex::new(None) }
    }

    /// False while the server is out of reach. One caller at a time finds out whether it still is.
    pub(super) async fn is_open(&self) -> bool {
        let now = Instant::now();
        {
            let mut look_at = self.look_at.lock().unwrap_or_else(PoisonError::into_inner);
            match *look_at {
                None => return true,
                Some(later) if now < later => return false,
                Some(_) => *look_at = now.checked_add(LOOK_MAX),
            }
        }
        self.look().await
    }

    /// Looks whether the server takes connections, and remembers it if not.
    pub(super) async fn look(&self) -> bool {
        let connected = match &self.address {
            Address::Tcp(host, port) => {
                let connecting = TcpStream::connect((host.as_str(), *port));
                matches!(timeout(LOOK_MAX, connecting).await, Ok(Ok(_)))
            }
            Address::Unix(path) => {
                matches!(timeout(LOOK_MAX, UnixStream::connect(path)).await, Ok(Ok(_)))
            }
        };
        let next = if connected { None } else { Instant::now().checked_add(LOOK_EVERY) };
        *self.look_at.lock().unwrap_or_else(PoisonError::into_inner) = next;
        connected
    }
}
