//! A relay before Postgres that keeps what a client says, so that pgbench can say the same.
use super::database::Server;
use crate::postgres_wire::{Fields, Frame, Frames};
use anyhow::{Context, bail};
use ledger::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One thing that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Saying {
    /// A simple query: BEGIN, COMMIT.
    Plain(String),
    /// A prepared statement with its values.
    Prepared { sql: String, types: Vec<i32>, values: Vec<Option<Vec<u8>>> },
}

pub(super) type Said = Vec<Saying>;

/// The relay; it ends when dropped.
pub(super) struct Recorder {
    port: u16,
    user: String,
    tape: Arc<Mutex<Tape>>,
    _relay: JoinSet<()>,
}

#[derive(Default)]
struct Tape {
    said: Said,
    fault: Option<&'static str>,
}

/// What one connection has prepared.
type Statements = HashMap<String, (String, Vec<i32>)>;

impl Recorder {
    pub(super) async fn before(server: &Server) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
        let port = listener.local_addr().context("listening")?.port();
        let tape = Arc::new(Mutex::new(Tape::default()));
        let target = (server.host().to_owned(), server.port());
        let mut relay = JoinSet::new();
        relay.spawn(accept(listener, target, tape.clone()));
        Ok(Self { port, user: server.user().to_owned(), tape, _relay: relay })
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}?sslmode=disable", self.user, self.port)
    }

    pub(super) fn forget(&self) {
        lock(&self.tape).said.clear();
    }

    /// What was said since it was told to forget.
    pub(super) fn said(&self) -> anyhow::Result<Said> {
        let mut tape = lock(&self.tape);
        if let Some(fault) = tape.fault {
            bail!("recording what we say to Postgres: {fault}");
        }
        Ok(std::mem::take(&mut tape.said))
    }
}

async fn accept(listener: TcpListener, target: (String, u16), tape: Arc<Mutex<Tape>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (target, tape) = (target.clone(), tape.clone());
        connections.spawn(async move {
            // A connection that breaks is noticed by the client.
            if let Ok(server) = TcpStream::connect(target).await {
                let _ = relay(client, server, &tape).await;
            }
        });
    }
}

async fn relay(client: TcpStream, server: TcpStream, tape: &Mutex<Tape>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async move {
        let (mut frames, mut statements) = (Frames::default(), Statements::new());
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            for frame in frames.take(&buffer[..read]) {
                let mut tape = lock(tape);
                match saying(&frame, &mut statements) {
                    Ok(said) => tape.said.extend(said),
                    Err(fault) => tape.fault = Some(fault),
                }
            }
            to_server.write_all(&buffer[..read]).await?;
        }
    };
    let (there, back) = tokio::join!(there, copy(&mut from_server, &mut to_client));
    there.and(back.map(|_| ()))
}

/// What a message says, if anything that changes or asks something.
fn saying(frame: &Frame, statements: &mut Statements) -> Result<Option<Saying>, &'static str> {
    match frame.kind {
        b'Q' => {
            let text = frame.query().ok_or("a query that is no text")?;
            Ok(Some(Saying::Plain(text.to_owned())))
        }
        b'P' => {
            let (name, sql, types) = parsed(&frame.body).ok_or("an unexpected Parse")?;
            statements.insert(name, (sql, types));
            Ok(None)
        }
        b'B' => {
            let (name, values) = bound(&frame.body).ok_or("a Bind that is not all binary")?;
            let (sql, types) = statements.get(&name).ok_or("a Bind of nothing")?.clone();
            Ok(Some(Saying::Prepared { sql, types, values }))
        }
        _ => Ok(None),
    }
}

fn parsed(body: &[u8]) -> Option<(String, String, Vec<i32>)> {
    let mut fields = Fields(body);
    let (name, sql) = (fields.text()?.to_owned(), fields.text()?.to_owned());
    let count = fields.short()?;
    let types = (0..count).map(|_| fields.integer()).collect::<Option<Vec<_>>>()?;
    Some((name, sql, types))
}

fn bound(body: &[u8]) -> Option<(String, Vec<Option<Vec<u8>>>)> {
    let mut fields = Fields(body);
    fields.text()?;
    let name = fields.text()?.to_owned();
    let formats = fields.short()?;
    let binary = (0..formats).all(|_| fields.short() == Some(1));
    let count = fields.short()?;
    let values = (0..count).map(|_| Some(fields.value()?.map(<[u8]>::to_vec)));
    let values = values.collect::<Option<Vec<_>>>()?;
    ((binary && formats > 0) || count == 0).then_some((name, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_is_heard_with_its_statement() {
        let mut statements = Statements::new();
        let parse = b"s1\0SELECT $1\0\x00\x01\x00\x00\x00\x19".to_vec();
        let bind = b"\0s1\0\x00\x01\x00\x01\x00\x01\x00\x00\x00\x02hi\x00\x00".to_vec();
        let mut hear =
            |kind, body: &[u8]| saying(&Frame { kind, body: body.to_vec() }, &mut statements);
        assert_eq!(hear(b'B', &bind), Err("a Bind of nothing"));
        assert_eq!(hear(b'P', &parse), Ok(None));
        let (sql, types) = ("SELECT $1".to_owned(), vec![25]);
        let values = vec![Some(b"hi".to_vec())];
        assert_eq!(hear(b'B', &bind), Ok(Some(Saying::Prepared { sql, types, values })));
        assert_eq!(hear(b'Q', b"COMMIT\0"), Ok(Some(Saying::Plain("COMMIT".to_owned()))));
        assert_eq!(hear(b'S', b""), Ok(None));
    }
}
