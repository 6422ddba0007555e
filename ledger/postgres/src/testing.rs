//! A schema of its own on a real Postgres, for the tests of every crate.
use crate::{PgBounds, PgStore};
use ledger::{Clock, IdSource};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// Names another server than the one that `ops/dev/up postgres` starts.
pub const ADDRESS_VARIABLE: &str = "TIDEGATE_TEST_POSTGRES";
const ADDRESS_DEFAULT: &str = "postgres://tidegate@127.0.0.1:15432/tidegate";

/// Wide enough for a crowd of rivals on a busy machine.
pub const BOUNDS: PgBounds = PgBounds {
    connections_max: 12,
    acquire_timeout_ms: 20_000,
    lock_timeout_ms: 10_000,
    statement_timeout_ms: 20_000,
};

/// An empty schema. It goes with [`drop_schema`](Self::drop_schema); what a failed test leaves
/// behind can be looked at.
pub struct TestPostgres {
    schema: String,
    /// Opens this schema.
    pub url: String,
}

/// Makes a schema that nobody else uses.
///
/// # Panics
/// When there is no server: nothing is skipped in silence.
pub async fn postgres() -> TestPostgres {
    let schema = format!("test_{}", IdSource::system().account(Clock::System.now()));
    // Ids may hold capitals and dots, which a schema's name would need quotes for.
    let schema = schema.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let address = address();
    execute(&address, format!("CREATE SCHEMA {schema}")).await;
    let mark = if address.contains('?') { '&' } else { '?' };
    TestPostgres { url: format!("{address}{mark}options[search_path]={schema}"), schema }
}

impl TestPostgres {
    /// Opens it on bounds that no test meets by chance.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn store(&self) -> PgStore {
        PgStore::open(&self.url, BOUNDS).await.expect("a new schema can be opened")
    }

    /// Runs statements on a connection of their own, as a fault in the program might.
    pub async fn tamper(&self, sql: &str) -> Result<u64, sqlx::Error> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let done = connection.execute(AssertSqlSafe(sql.to_owned())).await;
        connection.close().await?;
        done.map(|done| done.rows_affected())
    }

    /// # Panics
    /// When the schema is still in use.
    pub async fn drop_schema(self) {
        execute(&address(), format!("DROP SCHEMA {} CASCADE", self.schema)).await;
    }
}

pub async fn execute(address: &str, sql: String) {
    let missing = |error| {
        panic!(
            "these tests need Postgres at {address}: start it with `ops/dev/up postgres`, or name \
             another in {ADDRESS_VARIABLE} ({error})"
        )
    };
    let mut connection = PgConnection::connect(address).await.unwrap_or_else(missing);
    connection.execute(AssertSqlSafe(sql)).await.expect("the server takes test schemas");
    connection.close().await.expect("the connection closes");
}

/// The address of another database on the same server.
pub fn with_database(address: &str, database: &str) -> String {
    let (address, query) = address.split_once('?').map_or((address, ""), |(a, query)| (a, query));
    let server = address.rsplit_once('/').map_or(address, |(server, _)| server);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{server}/{database}{mark}{query}")
}

#[expect(clippy::disallowed_methods, reason = "where the tests' server is, is not configuration")]
pub fn address() -> String {
    std::env::var(ADDRESS_VARIABLE).unwrap_or_else(|_| ADDRESS_DEFAULT.to_owned())
}
