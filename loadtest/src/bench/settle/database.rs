//! Databases of our own on a server that others use too.
use anyhow::Context;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};
use std::str::FromStr;

/// What a durability line shows.
const SETTINGS: [&str; 5] =
    ["server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"];

/// The rows that settling wrote: one a booking and a claim each changed, the rest added.
const SETTLED: &str = "SELECT (SELECT count(*) FROM purchases WHERE status = 'confirmed'),
    (SELECT count(*) FROM purchases WHERE status = 'confirmed')
        + (SELECT count(*) FROM claims WHERE state = 'sold') + (SELECT count(*) FROM tickets)
        + (SELECT count(*) FROM transfers) + (SELECT count(*) FROM legs)";

/// A server, by the address of one of its databases.
#[derive(Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    url: String,
    prefix: String,
}

/// What was settled in a database.
pub(super) struct Settled {
    pub(super) confirmed: u64,
    pub(super) rows: u64,
}

impl Server {
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(url).context("reading --postgres")?;
        let (url, _) = url.rsplit_once('/').context("--postgres names no database")?;
        let prefix = format!("bench_settle_{}_", std::process::id());
        Ok(Self { options: options.disable_statement_logging(), url: url.to_owned(), prefix })
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.url)
    }

    pub(super) fn host(&self) -> &str {
        self.options.get_host()
    }

    pub(super) fn port(&self) -> u16 {
        self.options.get_port()
    }

    pub(super) fn user(&self) -> &str {
        self.options.get_username()
    }

    /// Makes a database, empty or a copy; the copy's pages are on disk when it is there.
    pub(super) async fn make(&self, name: &str, of: Option<&str>) -> anyhow::Result<String> {
        let name = format!("{}{name}", self.prefix);
        self.remove(&name).await?;
        let copied = of.map(|of| format!(" TEMPLATE {of} STRATEGY FILE_COPY"));
        let sql = format!("CREATE DATABASE {name}{}", copied.unwrap_or_default());
        self.execute(sql).await?;
        Ok(name)
    }

    pub(super) async fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    /// Removes all databases of this run.
    pub(super) async fn remove_all(&self) -> anyhow::Result<()> {
        let mut connection = self.connect(None).await?;
        let names = sqlx::query("SELECT datname FROM pg_database WHERE starts_with(datname, $1)");
        for row in names.bind(&self.prefix).fetch_all(&mut connection).await? {
            self.remove(row.try_get(0)?).await?;
        }
        Ok(())
    }

    pub(super) async fn durability(&self) -> anyhow::Result<String> {
        let mut connection = self.connect(None).await?;
        let mut line = "durability:".to_owned();
        for setting in SETTINGS {
            let show = sqlx::query("SELECT current_setting($1)").bind(setting);
            let value: String = show.fetch_one(&mut connection).await?.try_get(0)?;
            line.push_str(&format!(" {setting}={value}"));
        }
        Ok(line)
    }

    pub(super) async fn settled(&self, database: &str) -> anyhow::Result<Settled> {
        let mut connection = self.connect(Some(database)).await?;
        let row = sqlx::query(SETTLED).fetch_one(&mut connection).await?;
        let (confirmed, rows): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        connection.close().await?;
        Ok(Settled { confirmed: confirmed.try_into()?, rows: rows.try_into()? })
    }

    /// Runs one statement in `database`.
    pub(super) async fn execute_in(&self, database: &str, sql: String) -> anyhow::Result<()> {
        let mut connection = self.connect(Some(database)).await?;
        connection.execute(AssertSqlSafe(sql)).await.context("preparing a database")?;
        Ok(connection.close().await?)
    }

    async fn execute(&self, sql: String) -> anyhow::Result<()> {
        let mut connection = self.connect(None).await?;
        connection.execute(AssertSqlSafe(sql)).await.context("preparing a database")?;
        Ok(connection.close().await?)
    }

    async fn connect(&self, database: Option<&str>) -> anyhow::Result<PgConnection> {
        let options = self.options.clone();
        let options = database.map_or(options.clone(), |name| options.database(name));
        options.connect().await.context("connecting to Postgres")
    }
}
