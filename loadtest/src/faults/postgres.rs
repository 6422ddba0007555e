//! Postgres from outside: a database for one sale, and a relay that cuts connections in COMMIT.
use super::stack::Stack;
use crate::postgres_wire::Frames;
use anyhow::Context;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// While cutting, one COMMIT of so many is hit.
const CUT_EVERY: u64 = 7;
/// How long a COMMIT that Postgres has heard gets before its answer is lost.
const HEARD: Duration = Duration::from_millis(20);

/// The database that one sale's books are in.
pub(super) struct Books {
    options: PgConnectOptions,
    name: String,
}

impl Books {
    pub(super) async fn make(stack: &Stack, name: &str) -> anyhow::Result<Self> {
        let options = PgConnectOptions::new().host("127.0.0.1").port(stack.port("POSTGRES_PORT")?);
        let options = options.username("tidegate").database("tidegate").disable_statement_logging();
        let books = Self { options, name: name.to_owned() };
        books.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        books.execute(format!("CREATE DATABASE {name}")).await?;
        Ok(books)
    }

    /// Charges that were begun and have no answer yet.
    pub(super) async fn open_charges(&self) -> anyhow::Result<u64> {
        let mut connection = self.connect(&self.name).await?;
        let count = sqlx::query("SELECT count(*) FROM purchases WHERE payment = 'submitted'");
        let count: i64 = count.fetch_one(&mut connection).await?.try_get(0)?;
        connection.close().await?;
        Ok(count.try_into()?)
    }

    pub(super) async fn remove(&self) -> anyhow::Result<()> {
        self.execute(format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }

    async fn execute(&self, sql: String) -> anyhow::Result<()> {
        let mut connection = self.connect("tidegate").await?;
        connection.execute(AssertSqlSafe(sql)).await.context("preparing a database")?;
        Ok(connection.close().await?)
    }

    async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        let options = self.options.clone().database(database);
        options.connect().await.context("connecting to Postgres")
    }
}

/// A relay before Postgres. It cuts only while it is told to.
pub(super) struct Cutter {
    port: u16,
    knife: Arc<Knife>,
    _relay: JoinSet<()>,
}

#[derive(Default)]
struct Knife {
    out: AtomicBool,
    commits: AtomicU64,
    cuts: AtomicU64,
}

/// What becomes of what a client said.
enum Fate {
    Pass,
    /// Postgres never hears the COMMIT.
    Unheard,
    /// Postgres commits; the client never hears of it.
    Unanswered,
}

impl Cutter {
    pub(super) async fn before(stack: &Stack) -> anyhow::Result<Self> {
        let target = stack.port("POSTGRES_PORT")?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
        let port = listener.local_addr().context("listening")?.port();
        let knife = Arc::new(Knife::default());
        let mut relay = JoinSet::new();
        relay.spawn(accept(listener, target, knife.clone()));
        Ok(Self { port, knife, _relay: relay })
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Cuts for so long; returns how often.
    pub(super) async fn cut_for(&self, length: Duration) -> u64 {
        self.knife.out.store(true, Ordering::Relaxed);
        sleep(length).await;
        self.knife.out.store(false, Ordering::Relaxed);
        self.knife.cuts.load(Ordering::Relaxed)
    }
}

impl Knife {
    fn fate(&self, frames: &mut Frames, said: &[u8]) -> Fate {
        let said = frames.take(said);
        let commits = said.iter().any(|frame| frame.query() == Some("COMMIT"));
        if !commits || !self.out.load(Ordering::Relaxed) {
            return Fate::Pass;
        }
        if !self.commits.fetch_add(1, Ordering::Relaxed).is_multiple_of(CUT_EVERY) {
            return Fate::Pass;
        }
        let cuts = self.cuts.fetch_add(1, Ordering::Relaxed);
        if cuts.is_multiple_of(2) { Fate::Unanswered } else { Fate::Unheard }
    }
}

async fn accept(listener: TcpListener, target: u16, knife: Arc<Knife>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let knife = knife.clone();
        connections.spawn(async move {
            // What breaks here is noticed at both ends.
            if let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await {
                let _ = relay(client, server, &knife).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Ends, and closes both sides, when either side ends or the knife hits.
async fn relay(client: TcpStream, server: TcpStream, knife: &Knife) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let deaf = AtomicBool::new(false);
    let there = async {
        let (mut frames, mut buffer) = (Frames::default(), vec![0; 64 * 1024]);
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            match knife.fate(&mut frames, &buffer[..read]) {
                Fate::Pass => to_server.write_all(&buffer[..read]).await?,
                Fate::Unheard => return Ok(()),
                Fate::Unanswered => {
                    deaf.store(true, Ordering::Relaxed);
                    to_server.write_all(&buffer[..read]).await?;
                    sleep(HEARD).await;
                    return Ok(());
                }
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            if !deaf.load(Ordering::Relaxed) {
                to_client.write_all(&buffer[..read]).await?;
            }
        }
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commits_are_cut_and_only_while_told_to() {
        let knife = Knife::default();
        let mut frames = Frames::default();
        let start = [&8_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes()].concat();
        let commit = [b"Q", &11_u32.to_be_bytes()[..], b"COMMIT\0"].concat();
        let begin = [b"Q", &10_u32.to_be_bytes()[..], b"BEGIN\0"].concat();
        let mut is_cut = |said: &[u8]| !matches!(knife.fate(&mut frames, said), Fate::Pass);
        assert!(!is_cut(&start) && !is_cut(&commit), "not yet");
        knife.out.store(true, Ordering::Relaxed);
        assert!(!is_cut(&begin));
        let cuts = (0..CUT_EVERY * 3).filter(|_| is_cut(&commit)).count();
        assert_eq!((cuts, knife.cuts.load(Ordering::Relaxed)), (3, 3));
    }
}
