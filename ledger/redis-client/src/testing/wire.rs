//! A wire between a client and a Redis server that loses answers on demand.
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What becomes of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Loses {
    Nothing,
    /// The next one, and the connection with it; then nothing.
    One,
    /// The one after the next, and the connection with it; then nothing.
    Second,
    /// All of them, and nobody is told.
    All,
}

/// A wire to one server; it ends when it is dropped.
pub struct Wire {
    port: u16,
    loses: Arc<AtomicU8>,
    _tasks: JoinSet<()>,
}

impl Wire {
    /// A wire to the server of `url`, `redis://HOST:PORT`.
    pub async fn to(url: &str) -> Self {
        let server = url.strip_prefix("redis://").expect("a single server").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let loses = Arc::new(AtomicU8::new(Loses::Nothing as u8));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, server, loses.clone()));
        Self { port, loses, _tasks: tasks }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn loses(&self, what: Loses) {
        self.loses.store(what as u8, Ordering::SeqCst);
    }
}

async fn serve(listener: TcpListener, server: String, loses: Arc<AtomicU8>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(&server).await else { continue };
        let ((from_client, to_client), (from_server, to_server)) =
            (near.into_split(), far.into_split());
        let loses = loses.clone();
        connections.spawn(async move {
            tokio::select! {
                () = carry(from_client, to_server) => {}
                () = answer(from_server, to_client, &loses) => {}
            }
        });
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, loses: &AtomicU8) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length) = from.read(&mut buffer).await
        && length > 0
    {
        let (one, nothing) = (Loses::One as u8, Loses::Nothing as u8);
        if loses.compare_exchange(one, nothing, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return;
        }
        let second = Loses::Second as u8;
        let _ = loses.compare_exchange(second, one, Ordering::SeqCst, Ordering::SeqCst);
        let keeps = loses.load(Ordering::SeqCst) != Loses::All as u8;
        let part = buffer.get(..length).unwrap_or_default();
        if keeps && to.write_all(part).await.is_err() {
            return;
        }
    }
}
