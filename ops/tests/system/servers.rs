//! A place of one's own on the shared servers, for tests of the whole: a database, topics and a
//! keyspace that nobody else uses.
use ledger::{Clock, IdSource};
use ledger_kafka::testing::{kafka_server, remove_topics};
use ledger_postgres::testing as postgres;
use ledger_scylla::testing::{cql_server, remove_keyspace};

/// Where a sale of its own may live. It goes with [`remove`](Self::remove); what a failed test
/// leaves behind can be looked at.
pub(crate) struct TestServers {
    database: String,
    /// `postgres://…` of a database of its own.
    pub(crate) books: String,
    /// `kafka://…`, to be used with `prefix`.
    pub(crate) bookings: String,
    /// `scylla://…` of a keyspace of its own.
    pub(crate) views: String,
    /// Stands before every name on servers that are shared whole.
    pub(crate) prefix: String,
    keyspace: String,
}

impl TestServers {
    /// # Panics
    /// When there is no Postgres: nothing is skipped in silence. The others are found missing by
    /// whoever opens them.
    pub(crate) async fn new() -> Self {
        let tag = format!("{:016x}", IdSource::system().random());
        let (database, keyspace) = (format!("test_{tag}"), format!("test_{tag}"));
        let server = postgres::address();
        postgres::execute(&server, format!("CREATE DATABASE {database}")).await;
        let books = postgres::with_database(&server, &database);
        Self {
            database,
            books,
            bookings: format!("kafka://{}", kafka_server()),
            views: format!("scylla://{}/{keyspace}", cql_server()),
            prefix: format!("test-{tag}."),
            keyspace,
        }
    }

    /// The views are gone, as if their server had been lost with its disks.
    ///
    /// # Panics
    /// When the server does not answer any more.
    pub(crate) async fn lose_views(&self) {
        remove_keyspace(&cql_server(), &self.keyspace).await;
    }

    /// # Panics
    /// When a server does not answer any more.
    pub(crate) async fn remove(self) {
        let server = postgres::address();
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.database);
        postgres::execute(&server, drop).await;
        remove_topics(&kafka_server(), &self.prefix, Clock::System).await;
        remove_keyspace(&cql_server(), &self.keyspace).await;
    }
}
