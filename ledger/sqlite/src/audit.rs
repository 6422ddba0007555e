//! What the audit reads of a SQLite file, rows that the other books never show included.
use super::row::{count, time, undecodable, unread};
use super::{MIGRATIONS, SqliteFile};
use async_trait::async_trait;
use ledger::TransferRecord;
use ledger::books::{AuditReads, ClaimRecord, Guard, LoggedAsk, LoggedCommand, SeatCount};
use ledger::ticket::Ticket;
use ledger::{BookingCommand, Cursor, Message, Page, StoreError, Topic};
use ledger_sql::{Record as _, RowError};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

mod transfers;

/// The tables whose rows may only be added. An admission's end is written once, later.
const APPEND_ONLY: [&str; 6] =
    ["transfers", "legs", "ticket_uses", "admissions", "queue_limits", "queue_steps"];

/// [`AuditReads`] of a [`SqliteFile`].
#[derive(Clone)]
pub struct SqliteAuditReads {
    file: SqliteFile,
}

impl SqliteAuditReads {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }

    /// A page of what `sql` lists after a row, each with its place in that order as `mark`.
    async fn page<T: Send + Unpin>(
        &self,
        doing: &'static str,
        sql: &'static str,
        cursor: Cursor,
        read: fn(&SqliteRow) -> Result<T, RowError>,
    ) -> Result<Page<T>, StoreError> {
        let after: i64 = cursor.after.and_then(|mark| mark.parse().ok()).unwrap_or(0);
        let rows = sqlx::query(sql)
            .bind(after)
            .bind(i64::from(cursor.limit).saturating_add(1))
            .try_map(|row: SqliteRow| Ok((row.try_get::<i64, _>("mark")?, read(&row)?)))
            .fetch_all(self.file.readers());
        let rows = rows.await.map_err(unread(doing))?;
        let page = Page::cut(rows, cursor.limit, |(mark, _)| mark.to_string());
        Ok(page.map(|(_, item)| item))
    }
}

#[async_trait]
impl AuditReads for SqliteAuditReads {
    async fn claims(&self, cursor: Cursor) -> Result<Page<ClaimRecord>, StoreError> {
        let sql = "SELECT rowid AS mark, * FROM claims WHERE rowid > ? ORDER BY rowid LIMIT ?";
        self.page("reading all claims", sql, cursor, ledger_sql::claim_record).await
    }

    async fn transfers(&self, cursor: Cursor) -> Result<Page<TransferRecord>, StoreError> {
        transfers::page(self.file.readers(), cursor).await.map_err(unread("reading all transfers"))
    }

    async fn tickets(&self, cursor: Cursor) -> Result<Page<Ticket>, StoreError> {
        let sql = "SELECT rowid AS mark, * FROM tickets WHERE rowid > ? ORDER BY rowid LIMIT ?";
        self.page("reading all tickets", sql, cursor, ledger_sql::ticket).await
    }

    async fn commands(&self, cursor: Cursor) -> Result<Page<LoggedCommand>, StoreError> {
        let sql = "SELECT l.seq AS mark, l.*, EXISTS (SELECT 1 FROM log d
                       WHERE d.source_topic = l.topic AND d.source_seq = l.seq) AS dead
                   FROM log l WHERE l.topic = 'tidegate.bookings.v1' AND l.seq > ?
                   ORDER BY l.seq LIMIT ?";
        self.page("reading the booking log", sql, cursor, command_of).await
    }

    async fn seat_counts(&self) -> Result<Vec<SeatCount>, StoreError> {
        let all = sqlx::query("SELECT * FROM account_seats")
            .try_map(|row: SqliteRow| Ok(ledger_sql::seat_count(&row)?))
            .fetch_all(self.file.readers());
        all.await.map_err(unread("reading the seats counted for accounts"))
    }

    async fn guards(&self) -> Result<Vec<Guard>, StoreError> {
        let triggers: Vec<String> =
            sqlx::query_scalar("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
                .fetch_all(self.file.readers())
                .await
                .map_err(unread("reading the triggers"))?;
        let guard = |table: &str, verb: &str| {
            let head = format!("BEFORE {verb} ON {table}\n");
            let stands = triggers.iter().any(|sql| sql.contains(&head) && is_ours(sql));
            Guard { refuses: format!("{} of {table}", verb.to_lowercase()), stands }
        };
        let verbs = |table| ["DELETE", "UPDATE"].map(|verb| guard(table, verb));
        Ok(APPEND_ONLY.into_iter().flat_map(verbs).collect())
    }
}

/// True for a trigger as a migration made it, to the letter.
fn is_ours(sql: &str) -> bool {
    MIGRATIONS.iter().any(|migration| migration.sql.as_str().contains(sql))
}

fn command_of(row: &SqliteRow) -> Result<LoggedCommand, RowError> {
    let (kind, value): (&str, &[u8]) = (row.text("type")?, row.bytes("value")?);
    let ask = match Message::decode(Topic::Bookings, kind, value) {
        Ok(Message::Command(BookingCommand::Place(place))) => LoggedAsk::Place(place.booking_id),
        Ok(Message::Command(BookingCommand::Cancel(cancel))) => {
            LoggedAsk::Cancel(cancel.booking_id)
        }
        Ok(Message::Outcome(_)) => return Err(undecodable("value", "an outcome")),
        Err(_) => LoggedAsk::Unreadable,
    };
    Ok(LoggedCommand {
        position: count(row, "seq")?.to_string(),
        ask,
        appended_at: time(row, "appended_at")?,
        dead: row.flag("dead")?,
    })
}
