//! A database shared by all nodes: bounded connections, and transactions that are tried again
//! where that is safe.
use super::fault::{Failure, Fault};
use super::probe::ServerProbe;
use futures_util::future::BoxFuture;
use ledger::StoreError;
use ledger::metrics::{self, Transaction};
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool, Postgres};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A connection idle for longer than this is tried out before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How often a transaction that collided with others is tried.
const TRIES_MAX: u32 = 4;
const STATEMENTS_CACHED: usize = 256;
/// How long migrating may wait for another node that does it already.
const MIGRATION_LOCK_TIMEOUT: &str = "60s";

/// Every statement of a sale finds its rows one by one through an index. Of tables that grow from
/// nothing within seconds the planner thinks otherwise, and a plan once made is kept; so it gets
/// no other way.
const BY_INDEX: [(&str, &str); 7] = [
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("random_page_cost", "1.1"),
    ("jit", "off"),
];

/// The bounds of a [`PgStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgBounds {
    pub connections_max: u32,
    /// How long a caller waits for a connection.
    pub acquire_timeout_ms: u64,
    /// How long a statement waits for another's lock.
    pub lock_timeout_ms: u64,
    /// How long a statement may take, and how long a transaction may lie idle.
    pub statement_timeout_ms: u64,
}

/// Why a database could not be opened. Says nothing of its address, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum PgFailure {
    #[error("reading the address of the Postgres database")]
    Address { source: sqlx::Error },
    #[error("connecting to the Postgres database")]
    Connect { source: sqlx::Error },
    #[error("migrating the Postgres database")]
    Migrate { source: MigrateError },
}

/// A Postgres database. Clones share its connections.
#[derive(Clone)]
pub struct PgStore {
    pool: PgPool,
    server: Arc<ServerProbe>,
    /// How long one try of a piece of work may take, and its COMMIT once more.
    patience: Duration,
}

impl PgStore {
    /// Migrates the database, and opens it.
    pub async fn open(url: &str, bounds: PgBounds) -> Result<Self, PgFailure> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|source| PgFailure::Address { source })?
            .application_name("tidegate")
            .statement_cache_capacity(STATEMENTS_CACHED)
            .disable_statement_logging();
        migrate(options.clone()).await?;
        let options = bounded(options, bounds);
        let server = Arc::new(ServerProbe::of(&options));
        let pool = PgPoolOptions::new()
            .max_connections(bounds.connections_max)
            .acquire_timeout(Duration::from_millis(bounds.acquire_timeout_ms))
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            server,
            patience: Duration::from_millis(bounds.statement_timeout_ms).saturating_mul(2),
        })
    }

    /// Waits for the connections in use and closes all.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs `work` in a transaction of its own; on collision with others, from the beginning.
    pub(super) async fn write<I, T, W>(
        &self,
        doing: &'static str,
        input: &I,
        work: W,
    ) -> Result<T, StoreError>
    where
        I: Sync + ?Sized,
        T: Send,
        W: for<'c> Fn(&'c mut PgConnection, &'c I) -> BoxFuture<'c, Result<T, Fault>> + Sync,
    {
        let started = Instant::now();
        let mut tries: u32 = 1;
        let failure = loop {
            match self.transact(input, &work).await {
                Ok(value) => {
                    metrics::transaction(Transaction::Committed, started.elapsed());
                    self.measure();
                    return Ok(value);
                }
                Err(failure) if failure.is_collision() && tries < TRIES_MAX => {
                    metrics::transaction_collided();
                    tries = tries.saturating_add(1);
                }
                Err(failure) => break failure,
            }
        };
        let fate = match failure {
            Failure::Undone(_) => Transaction::Undone,
            Failure::Unsure(_) => Transaction::Unsure,
        };
        metrics::transaction(fate, started.elapsed());
        self.measure();
        Err(failure.said(doing))
    }

    /// Runs `work`, which only reads, and that by one statement.
    pub(super) async fn read<I, T, W>(
        &self,
        doing: &'static str,
        input: &I,
        work: W,
    ) -> Result<T, StoreError>
    where
        I: Sync + ?Sized,
        T: Send,
        W: for<'c> Fn(&'c mut PgConnection, &'c I) -> BoxFuture<'c, Result<T, Fault>> + Sync,
    {
        let read = async {
            let mut lease = self.acquire().await?;
            let found = self.patiently(work(lease.connection()?, input)).await??;
            lease.give_back();
            Ok(found)
        };
        read.await.map_err(|fault: Fault| Failure::Undone(fault).said(doing))
    }

    async fn transact<I, T, W>(&self, input: &I, work: &W) -> Result<T, Failure>
    where
        I: Sync + ?Sized,
        T: Send,
        W: for<'c> Fn(&'c mut PgConnection, &'c I) -> BoxFuture<'c, Result<T, Fault>> + Sync,
    {
        let mut lease = self.acquire().await.map_err(Failure::Undone)?;
        let connection = lease.connection().map_err(Failure::Undone)?;
        let begun = async {
            connection.execute("BEGIN").await?;
            work(&mut *connection, input).await
        };
        let done = self.patiently(begun).await.and_then(std::convert::identity);
        let value = match done {
            Ok(value) => value,
            // The connection is closed, and with it the transaction.
            Err(Fault::Silent) => return Err(Failure::Undone(Fault::Silent)),
            Err(fault) => {
                if let Ok(Ok(_)) = self.patiently(connection.execute("ROLLBACK")).await {
                    lease.give_back();
                }
                return Err(Failure::Undone(fault));
            }
        };
        let committed = self.patiently(connection.execute("COMMIT")).await;
        committed.map_err(Failure::Unsure)?.map_err(Failure::of_commit)?;
        lease.give_back();
        Ok(value)
    }

    async fn acquire(&self) -> Result<Lease, Fault> {
        if !self.server.is_reachable().await {
            return Err(Fault::Unreachable);
        }
        match self.pool.acquire().await {
            Ok(connection) => Ok(Lease(Some(connection))),
            Err(error) => {
                // A pool that is only busy is left alone.
                self.server.check().await;
                Err(error.into())
            }
        }
    }

    async fn patiently<F: Future>(&self, work: F) -> Result<F::Output, Fault> {
        timeout(self.patience, work).await.map_err(|_| Fault::Silent)
    }

    fn measure(&self) {
        metrics::connections(self.pool.size(), self.pool.num_idle());
    }
}

/// A connection that is closed unless it was left in order: whoever stops waiting in the middle
/// of a transaction must not hand it on.
struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    fn connection(&mut self) -> Result<&mut PgConnection, Fault> {
        self.0.as_deref_mut().ok_or(Fault::Sql(sqlx::Error::PoolClosed))
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// Migrations may take longer than any statement of a sale, so they get a connection without its
/// bounds. Nodes that start together take turns.
async fn migrate(options: PgConnectOptions) -> Result<(), PgFailure> {
    let failed = |source| PgFailure::Connect { source };
    let options = options.options([("lock_timeout", MIGRATION_LOCK_TIMEOUT)]);
    let mut connection = options.connect().await.map_err(failed)?;
    let migrated = super::MIGRATIONS.run(&mut connection).await;
    migrated.map_err(|source| PgFailure::Migrate { source })?;
    connection.close().await.map_err(failed)
}

fn bounded(options: PgConnectOptions, bounds: PgBounds) -> PgConnectOptions {
    options.options(BY_INDEX).options([
        ("default_transaction_isolation", "read committed".to_owned()),
        ("lock_timeout", format!("{}ms", bounds.lock_timeout_ms)),
        ("statement_timeout", format!("{}ms", bounds.statement_timeout_ms)),
        // A node that stops in the middle lets go of its locks.
        ("idle_in_transaction_session_timeout", format!("{}ms", bounds.statement_timeout_ms)),
    ])
}
