//! The keyspace, its tables, and the statements that are prepared once.
use super::{ScyllaBounds, is_for_ever};
use ::scylla::client::session::Session;
use ::scylla::errors::{ExecutionError, PrepareError};
use ::scylla::statement::prepared::PreparedStatement;
use ledger::StoreError;

const DOING: &str = "preparing the views' tables";

/// How long the marks of expired rows are kept so that every copy learns of them. Nothing is ever
/// deleted but by expiry, which every copy sees by itself, so a day is enough.
const GC_GRACE_SECONDS: u32 = 24 * 60 * 60;

/// The name of a table, and its columns and key.
const TABLES: [(&str, &str); 3] = [
    ("booking_by_id", "(id text PRIMARY KEY, booking text)"),
    (
        "bookings_by_account",
        "(account_id text, placed_at timestamp, id text, booking text, \
         PRIMARY KEY ((account_id), placed_at, id)) \
         WITH CLUSTERING ORDER BY (placed_at DESC, id DESC)",
    ),
    ("booking_of_ticket", "(ticket_id text PRIMARY KEY, booking_id text)"),
];

/// Each knows its partition key, so the driver asks the node that has the row.
pub(super) struct Statements {
    pub(super) put_by_id: PreparedStatement,
    pub(super) put_by_account: PreparedStatement,
    pub(super) put_ticket: PreparedStatement,
    pub(super) booking: PreparedStatement,
    pub(super) first_page: PreparedStatement,
    pub(super) next_page: PreparedStatement,
    pub(super) ticket: PreparedStatement,
}

impl Statements {
    /// Creates what is missing, then prepares.
    pub(super) async fn prepare(
        session: &Session,
        keyspace: &str,
        bounds: &ScyllaBounds,
    ) -> Result<Self, StoreError> {
        let named =
            keyspace.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !named || !(1..=48).contains(&keyspace.len()) {
            return Err(StoreError::broken(DOING, "a keyspace is named by a-z, 0-9 and _"));
        }
        create(session, keyspace, bounds).await?;
        let table = |index: usize| format!("\"{keyspace}\".{}", TABLES[index].0);
        let [by_id, by_account, tickets] = [table(0), table(1), table(2)];
        let page = format!("SELECT booking FROM {by_account} WHERE account_id = ?");
        let prepare = |text: String| prepare(session, text);
        Ok(Self {
            put_by_id: prepare(format!(
                "INSERT INTO {by_id} (id, booking) VALUES (?, ?) USING TIMESTAMP ? AND TTL ?"
            ))
            .await?,
            put_by_account: prepare(format!(
                "INSERT INTO {by_account} (account_id, placed_at, id, booking) \
                 VALUES (?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
            ))
            .await?,
            put_ticket: prepare(format!(
                "INSERT INTO {tickets} (ticket_id, booking_id) VALUES (?, ?) \
                 USING TIMESTAMP ? AND TTL ?"
            ))
            .await?,
            booking: prepare(format!("SELECT booking FROM {by_id} WHERE id = ?")).await?,
            first_page: prepare(format!("{page} LIMIT ?")).await?,
            next_page: prepare(format!("{page} AND (placed_at, id) < (?, ?) LIMIT ?")).await?,
            ticket: prepare(format!("SELECT booking_id FROM {tickets} WHERE ticket_id = ?"))
                .await?,
        })
    }
}

async fn prepare(session: &Session, text: String) -> Result<PreparedStatement, StoreError> {
    let prepared = session.prepare(text).await;
    let mut prepared =
        prepared.map_err(|error: PrepareError| StoreError::unavailable(DOING, error))?;
    // Every one of them may be sent again: reads, and writes that carry their own time.
    prepared.set_is_idempotent(true);
    Ok(prepared)
}

async fn create(
    session: &Session,
    keyspace: &str,
    bounds: &ScyllaBounds,
) -> Result<(), StoreError> {
    let replication = bounds.replication;
    run(
        session,
        format!(
            "CREATE KEYSPACE IF NOT EXISTS \"{keyspace}\" WITH replication = \
             {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication}}}"
        ),
    )
    .await?;
    for (name, columns) in TABLES {
        let with = if columns.contains(" WITH ") { "AND" } else { "WITH" };
        run(
            session,
            format!(
                "CREATE TABLE IF NOT EXISTS \"{keyspace}\".{name} {columns} \
                 {with} gc_grace_seconds = {GC_GRACE_SECONDS}"
            ),
        )
        .await?;
    }
    Ok(())
}

async fn run(session: &Session, statement: String) -> Result<(), StoreError> {
    let done = session.query_unpaged(statement, ()).await;
    done.map(|_| ()).map_err(|error: ExecutionError| {
        if is_for_ever(&error) {
            StoreError::broken(DOING, error)
        } else {
            StoreError::unavailable(DOING, error)
        }
    })
}
