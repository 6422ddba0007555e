//! What the audit reads of a SQLite file, rows that the other books never show included.
use super::{Connection, MIGRATIONS, SqliteFile};
use async_trait::async_trait;
use ledger::TransferRecord;
use ledger::books::{AuditReads, ClaimRecord, Guard, LoggedAsk, LoggedCommand, SeatCount};
use ledger::ticket::Ticket;
use ledger::{BookingCommand, Cursor, Message, Page, StoreError, Topic};
use ledger_sql::{
    Record, RowError, count, headless_row, rows_after, time, transfer_row, undecodable,
};
use rusqlite::Error;

/// The tables whose rows may only be added. An admission's end is written once, later.
const APPEND_ONLY: [&str; 5] = ["transfers", "legs", "admissions", "queue_limits", "queue_steps"];

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
    async fn page<T: Send + 'static>(
        &self,
        doing: &'static str,
        sql: &'static str,
        cursor: Cursor,
        read: fn(&dyn Record) -> Result<T, RowError>,
    ) -> Result<Page<T>, StoreError> {
        let (after, limit) = rows_after(&cursor);
        let rows = self.file.read(doing, move |connection| {
            connection.all(sql, (after, limit), |row| Ok((row.integer("mark")?, read(row)?)))
        });
        let page = Page::cut(rows.await?, cursor.limit, |(mark, _)| mark.to_string());
        Ok(page.map(|(_, item)| item))
    }
}

#[async_trait]
impl AuditReads for SqliteAuditReads {
    async fn claims(&self, cursor: Cursor) -> Result<Page<ClaimRecord>, StoreError> {
        let sql = "SELECT rowid AS mark, * FROM claims WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
        self.page("reading all claims", sql, cursor, ledger_sql::claim_record).await
    }

    async fn transfers(&self, cursor: Cursor) -> Result<Page<TransferRecord>, StoreError> {
        self.file.read("reading all transfers", move |c| transfers(c, &cursor)).await
    }

    async fn tickets(&self, cursor: Cursor) -> Result<Page<Ticket>, StoreError> {
        let sql = "SELECT rowid AS mark, * FROM tickets WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
        self.page("reading all tickets", sql, cursor, ledger_sql::ticket).await
    }

    async fn commands(&self, cursor: Cursor) -> Result<Page<LoggedCommand>, StoreError> {
        let sql = "SELECT l.seq AS mark, l.*, EXISTS (SELECT 1 FROM log d
                       WHERE d.source_topic = l.topic AND d.source_seq = l.seq) AS dead
                   FROM log l WHERE l.topic = 'tidegate.bookings.v1' AND l.seq > ?1
                   ORDER BY l.seq LIMIT ?2";
        self.page("reading the booking log", sql, cursor, command_of).await
    }

    async fn seat_counts(&self) -> Result<Vec<SeatCount>, StoreError> {
        let all = self.file.read("reading the seats counted for accounts", |connection| {
            connection.all("SELECT * FROM account_seats", (), ledger_sql::seat_count)
        });
        all.await
    }

    async fn guards(&self) -> Result<Vec<Guard>, StoreError> {
        let triggers = self.file.read("reading the triggers", |connection| {
            let sql = "SELECT sql FROM sqlite_master WHERE type = 'trigger'";
            connection.all(sql, (), |row| row.text("sql").map(str::to_owned))
        });
        let triggers = triggers.await?;
        let guard = |table: &str, verb: &str| {
            let head = format!("BEFORE {verb} ON {table}\n");
            let stands = triggers.iter().any(|sql| sql.contains(&head) && is_ours(sql));
            Guard { refuses: format!("{} of {table}", verb.to_lowercase()), stands }
        };
        let verbs = |table| ["DELETE", "UPDATE"].map(|verb| guard(table, verb));
        Ok(APPEND_ONLY.into_iter().flat_map(verbs).collect())
    }
}

/// A page of transfers; legs without a transfer's row come at the end of the last one.
fn transfers(connection: &Connection, cursor: &Cursor) -> Result<Page<TransferRecord>, Error> {
    let rows = connection.all(
        "SELECT t.mark, t.cause, t.kind, t.at, l.account, l.minor, l.currency
         FROM (SELECT rowid AS mark, * FROM transfers WHERE rowid > ?1 ORDER BY rowid LIMIT ?2) t
         LEFT JOIN legs l ON l.cause = t.cause AND l.kind = t.kind
         ORDER BY t.mark, l.ordinal",
        rows_after(cursor),
        transfer_row,
    )?;
    let found = ledger_sql::transfers(rows);
    let mut page = Page::cut(found, cursor.limit, |(mark, _)| mark.to_string());
    if page.next.is_none() {
        let rows = connection.all(
            "SELECT * FROM legs l WHERE NOT EXISTS (
                 SELECT 1 FROM transfers t WHERE t.cause = l.cause AND t.kind = l.kind)
             ORDER BY cause, kind, ordinal",
            (),
            headless_row,
        )?;
        page.items.extend(ledger_sql::transfers(rows));
    }
    Ok(page.map(|(_, record)| record))
}

/// True for a trigger as a migration made it, to the letter.
fn is_ours(sql: &str) -> bool {
    MIGRATIONS.0.iter().any(|migration| migration.sql.contains(sql))
}

fn command_of(row: &dyn Record) -> Result<LoggedCommand, RowError> {
    let (kind, value) = (row.text("type")?, row.bytes("value")?);
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
