//! A place of one's own on the shared servers, for tests of the whole: a database, topics and a
//! keyspace that nobody else uses.
use super::postgres;
use crate::clock::Clock;
use crate::ids::IdSource;
use crate::kafka::conformance::remove_topics;
use crate::scylla::conformance::remove_keyspace;

/// Names another broker than the one that `ops/dev/up kafka` starts.
pub const KAFKA_VARIABLE: &str = "TIDEGATE_TEST_KAFKA";
/// Names another node than the one that `ops/dev/up cassandra` starts.
pub const CQL_VARIABLE: &str = "TIDEGATE_TEST_CQL";

/// Where a sale of its own may live. It goes with [`remove`](Self::remove); what a failed test
/// leaves behind can be looked at.
pub struct TestServers {
    database: String,
    /// `postgres://…` of a database of its own.
    pub books: String,
    /// `kafka://…`, to be used with `prefix`.
    pub bookings: String,
    /// `scylla://…` of a keyspace of its own.
    pub views: String,
    /// Stands before every name on servers that are shared whole.
    pub prefix: String,
    keyspace: String,
}

impl TestServers {
    /// # Panics
    /// When there is no Postgres: nothing is skipped in silence. The others are found missing by
    /// whoever opens them.
    pub async fn new() -> Self {
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
    pub async fn lose_views(&self) {
        remove_keyspace(&cql_server(), &self.keyspace).await;
    }

    /// # Panics
    /// When a server does not answer any more.
    pub async fn remove(self) {
        let server = postgres::address();
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.database);
        postgres::execute(&server, drop).await;
        remove_topics(&kafka_server(), &self.prefix, Clock::System).await;
        remove_keyspace(&cql_server(), &self.keyspace).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "where the tests' servers are")]
pub(crate) fn kafka_server() -> String {
    std::env::var(KAFKA_VARIABLE).unwrap_or_else(|_| "127.0.0.1:19092".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "where the tests' servers are")]
pub(crate) fn cql_server() -> String {
    std::env::var(CQL_VARIABLE).unwrap_or_else(|_| "127.0.0.1:19042".to_owned())
}
