//! What the audit reads of a Postgres database, rows that the other books never show included.
use super::MIGRATIONS;
use super::store::PgStore;
use async_trait::async_trait;
use ledger::TransferRecord;
use ledger::books::{AuditReads, ClaimRecord, Guard, LoggedCommand, SeatCount};
use ledger::ticket::Ticket;
use ledger::{Cursor, Page, StoreError};
use ledger_sql::{Record, RowError};
use sqlx::postgres::PgRow;

/// The tables whose rows may only be added. An admission's end is written once, later.
const APPEND_ONLY: [&str; 6] =
    ["transfers", "legs", "ticket_uses", "admissions", "queue_limits", "queue_steps"];

/// [`AuditReads`] of a [`PgStore`].
#[derive(Clone)]
pub struct PgAuditReads {
    store: PgStore,
}

impl PgAuditReads {
    pub fn new(store: PgStore) -> Self {
        Self { store }
    }

    async fn all(
        &self,
        doing: &'static str,
        sql: &'static str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<PgRow>, StoreError> {
        let input = (sql, after, limit);
        let work = self.store.read(doing, &input, |connection, input| {
            Box::pin(async move {
                let rows = sqlx::query(input.0).bind(input.1).bind(input.2).fetch_all(connection);
                Ok(rows.await?)
            })
        });
        work.await
    }

    /// A page of what `sql` lists after a row, each with its place in that order as `mark`.
    async fn page<T>(
        &self,
        doing: &'static str,
        sql: &'static str,
        cursor: Cursor,
        read: fn(&[PgRow]) -> Positioned<T>,
    ) -> Result<Page<(i64, T)>, StoreError> {
        let after = cursor.after.and_then(|mark| mark.parse().ok()).unwrap_or(0);
        let limit = i64::from(cursor.limit).saturating_add(1);
        let rows = self.all(doing, sql, after, limit).await?;
        let items = read(&rows).map_err(|error| StoreError::broken(doing, error))?;
        Ok(Page::cut(items, cursor.limit, |(mark, _)| mark.to_string()))
    }
}

#[async_trait]
impl AuditReads for PgAuditReads {
    async fn claims(&self, cursor: Cursor) -> Result<Page<ClaimRecord>, StoreError> {
        const DOING: &str = "reading all claims";
        let after = cursor.after.unwrap_or_default();
        let (booking, place) = after.split_once('~').unwrap_or_default();
        let limit = i64::from(cursor.limit).saturating_add(1);
        let input = (booking, place, limit);
        let work = self.store.read(DOING, &input, |connection, (booking, place, limit)| {
            Box::pin(async move {
                let found = sqlx::query(
                    "SELECT * FROM claims WHERE (booking_id, place) > ($1, $2)
                     ORDER BY booking_id, place LIMIT $3",
                )
                .bind(booking)
                .bind(place)
                .bind(limit)
                .try_map(|row: PgRow| Ok(ledger_sql::claim_record(&row)?))
                .fetch_all(connection);
                Ok(found.await?)
            })
        });
        let mark = |last: &ClaimRecord| format!("{}~{}", last.booking_id, last.place);
        Ok(Page::cut(work.await?, cursor.limit, mark))
    }

    async fn transfers(&self, cursor: Cursor) -> Result<Page<TransferRecord>, StoreError> {
        const DOING: &str = "reading all transfers";
        let sql = "SELECT t.mark, t.cause, t.kind, t.at, l.account, l.minor, l.currency
                   FROM (SELECT position AS mark, cause, kind, at FROM transfers
                         WHERE position > $1 ORDER BY position LIMIT $2) t
                   LEFT JOIN legs l ON l.cause = t.cause AND l.kind = t.kind
                   ORDER BY t.mark, l.ordinal";
        let mut page = self.page(DOING, sql, cursor, ledger_sql::transfers).await?;
        if page.next.is_none() {
            let sql = "SELECT * FROM legs l WHERE $1 >= 0 AND NOT EXISTS (
                           SELECT 1 FROM transfers t WHERE t.cause = l.cause AND t.kind = l.kind)
                       ORDER BY cause, kind, ordinal LIMIT $2";
            let rows = self.all(DOING, sql, 0, i64::MAX).await?;
            let headless = ledger_sql::headless(&rows);
            page.items.extend(headless.map_err(|error| StoreError::broken(DOING, error))?);
        }
        Ok(page.map(|(_, record)| record))
    }

    async fn tickets(&self, cursor: Cursor) -> Result<Page<Ticket>, StoreError> {
        let sql = "SELECT position AS mark, * FROM tickets WHERE position > $1
                   ORDER BY position LIMIT $2";
        let read = |rows: &[PgRow]| -> Positioned<Ticket> {
            rows.iter().map(|row| Ok((row.integer("mark")?, ledger_sql::ticket(row)?))).collect()
        };
        let page = self.page("reading all tickets", sql, cursor, read).await?;
        Ok(page.map(|(_, ticket)| ticket))
    }

    /// The booking log is never kept in this database.
    async fn commands(&self, _: Cursor) -> Result<Page<LoggedCommand>, StoreError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn seat_counts(&self) -> Result<Vec<SeatCount>, StoreError> {
        let work = self.store.read("reading the seats counted for accounts", &(), |c, ()| {
            Box::pin(async move {
                let all = sqlx::query("SELECT * FROM account_seats")
                    .try_map(|row: PgRow| Ok(ledger_sql::seat_count(&row)?))
                    .fetch_all(c);
                Ok(all.await?)
            })
        });
        work.await
    }

    async fn guards(&self) -> Result<Vec<Guard>, StoreError> {
        let work = self.store.read("reading the triggers", &APPEND_ONLY, |connection, tables| {
            Box::pin(async move {
                // 'A': it fires always; without a condition; before the change.
                let found = sqlx::query_as(
                    "SELECT c.relname::text, pg_get_triggerdef(t.oid), p.prosrc
                     FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                         JOIN pg_proc p ON p.oid = t.tgfoid
                     WHERE t.tgrelid IN (SELECT to_regclass(name) FROM unnest($1::text[]) name)
                         AND t.tgenabled = 'A' AND NOT t.tgisinternal AND t.tgqual IS NULL",
                )
                .bind(tables.as_slice())
                .fetch_all(connection);
                Ok(found.await?)
            })
        });
        let triggers: Vec<Trigger> = work.await?;
        let guard = |table: &str, verb: &str| {
            let stands = triggers.iter().any(|trigger| refuses(trigger, table, verb));
            Guard { refuses: format!("{} of {table}", verb.to_lowercase()), stands }
        };
        let verbs = |table| ["DELETE", "UPDATE", "TRUNCATE"].map(|verb| guard(table, verb));
        Ok(APPEND_ONLY.into_iter().flat_map(verbs).collect())
    }
}

/// A trigger's table, definition, and the source of its function.
type Trigger = (String, String, String);

/// True for a trigger that runs a function of ours, to the letter, before every such change.
fn refuses((on, definition, source): &Trigger, table: &str, verb: &str) -> bool {
    let level = if verb == "TRUNCATE" { "STATEMENT" } else { "ROW" };
    let head = format!(" BEFORE {verb} ON ");
    on == table
        && definition.contains(&head)
        && definition.contains(&format!(" FOR EACH {level} "))
        && MIGRATIONS.iter().any(|migration| migration.sql.as_str().contains(source.as_str()))
}

/// Rows as they were read, each with its position.
type Positioned<T> = Result<Vec<(i64, T)>, RowError>;
