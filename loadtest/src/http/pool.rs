//! Many people over few connections: a bounded pool that hands each request a connection.
use super::{Broken, Wire, header};
use ledger::lock;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A request, ready but for the host.
#[derive(Clone)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: String,
    body: Option<String>,
}

/// An answer that has left its connection.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Vec<u8>,
    body: Vec<u8>,
}

/// No answer came: nobody knows whether the request had its effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("connecting: {0}")]
    Connect(std::io::Error),
    #[error("talking: {0}")]
    Talk(std::io::Error),
    #[error("no answer within {0:?}")]
    Late(Duration),
}

/// Keep-alive connections to one server, or to the nodes behind one name, opened at need up to a
/// bound.
pub(crate) struct Pool {
    /// A new connection goes to the next one that takes it, as behind a load balancer.
    addresses: Vec<SocketAddr>,
    host: String,
    idle: Mutex<Vec<Wire>>,
    permits: Semaphore,
    opened: AtomicU64,
}

impl Request {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), headers: String::new(), body: None }
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: "DELETE", ..Self::get(path) }
    }

    pub(crate) fn post(path: impl Into<String>, body: &serde_json::Value) -> Self {
        let request = Self { method: "POST", body: Some(body.to_string()), ..Self::get(path) };
        request.with("content-type", "application/json")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.headers.push_str(part);
        }
        self
    }

    pub(crate) fn login(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn keyed(self, key: &str) -> Self {
        self.with("idempotency-key", key)
    }

    pub(crate) fn encode(&self, host: &str) -> Vec<u8> {
        let Self { method, path, headers, body } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}");
        if let Some(body) = body {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body.as_deref().unwrap_or_default());
        text.into_bytes()
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Head and body as they came over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&*self.head, &*self.body].concat()
    }

    /// Seconds after which a refusal may be tried again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.parse().ok()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// The stable code of a problem; empty when the body is none.
    pub(crate) fn code(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Problem {
            code: String,
        }
        self.json().map(|problem: Problem| problem.code).unwrap_or_default()
    }

    /// "409 seat_taken": how reports name an answer.
    pub(crate) fn summary(&self) -> String {
        let code = if self.status < 400 { String::new() } else { self.code() };
        format!("{} {code}", self.status).trim_end().to_owned()
    }
}

impl Pool {
    pub(crate) fn new(address: SocketAddr, host: &str, connections_max: usize) -> Self {
        Self::over(vec![address], host, connections_max)
    }

    /// Connections to any of these.
    pub(crate) fn over(addresses: Vec<SocketAddr>, host: &str, connections_max: usize) -> Self {
        Self {
            addresses,
            host: host.to_owned(),
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(connections_max),
            opened: AtomicU64::new(0),
        }
    }

    /// Connections opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub(crate) async fn send(&self, request: &Request, patience: Duration) -> Result<Answer, Lost> {
        let bytes = request.encode(&self.host);
        match timeout(patience, self.send_bytes(&bytes)).await {
            Ok(result) => result,
            Err(_) => Err(Lost::Late(patience)),
        }
    }

    async fn send_bytes(&self, bytes: &[u8]) -> Result<Answer, Lost> {
        let _permit = self.permits.acquire().await.expect("the pool is never closed");
        if let Some(wire) = self.take_idle() {
            match self.exchange(wire, bytes).await {
                // The server may close an idle connection at the very moment it is used again.
                Err(Broken { answered: false, .. }) => {}
                Err(Broken { error, .. }) => return Err(Lost::Talk(error)),
                Ok(answer) => return Ok(answer),
            }
        }
        let wire = self.open().await.map_err(Lost::Connect)?;
        self.exchange(wire, bytes).await.map_err(|broken| Lost::Talk(broken.error))
    }

    async fn open(&self) -> std::io::Result<Wire> {
        let first = self.opened.fetch_add(1, Ordering::Relaxed);
        let count = self.addresses.len() as u64;
        let mut refused = std::io::Error::other("no address to connect to");
        for turn in first..first + count {
            match Wire::open(self.addresses[(turn % count) as usize]).await {
                Ok(wire) => return Ok(wire),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn take_idle(&self) -> Option<Wire> {
        let mut idle = lock(&self.idle);
        std::iter::from_fn(|| idle.pop()).find(Wire::is_fresh)
    }

    async fn exchange(&self, mut wire: Wire, bytes: &[u8]) -> Result<Answer, Broken> {
        let reply = wire.exchange(bytes).await?;
        let (head, body) = (reply.head.to_vec(), reply.body.to_vec());
        let answer = Answer { status: reply.status, head, body };
        let closes = answer.header("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
        if !closes {
            lock(&self.idle).push(wire);
        }
        Ok(answer)
    }
}
