//! Transfers put together from their rows; legs without a row come at the end.
use ledger::TransferRecord;
use ledger::{Cursor, Page};
use sqlx::{Error, SqlitePool};

pub(super) async fn page(
    readers: &SqlitePool,
    cursor: Cursor,
) -> Result<Page<TransferRecord>, Error> {
    let after: i64 = cursor.after.and_then(|mark| mark.parse().ok()).unwrap_or(0);
    let limit = i64::from(cursor.limit);
    let rows = sqlx::query(
        "SELECT t.mark, t.cause, t.kind, t.at, l.account, l.minor, l.currency
         FROM (SELECT rowid AS mark, * FROM transfers WHERE rowid > ?1 ORDER BY rowid LIMIT ?2) t
         LEFT JOIN legs l ON l.cause = t.cause AND l.kind = t.kind
         ORDER BY t.mark, l.ordinal",
    )
    .bind(after)
    .bind(limit.saturating_add(1))
    .fetch_all(readers)
    .await?;
    let found = ledger_sql::transfers(&rows)?;
    let mut page = Page::cut(found, cursor.limit, |(mark, _)| mark.to_string());
    if page.next.is_none() {
        page.items.extend(headless(readers).await?);
    }
    Ok(page.map(|(_, record)| record))
}

async fn headless(readers: &SqlitePool) -> Result<Vec<(i64, TransferRecord)>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM legs l WHERE NOT EXISTS (
             SELECT 1 FROM transfers t WHERE t.cause = l.cause AND t.kind = l.kind)
         ORDER BY cause, kind, ordinal",
    )
    .fetch_all(readers)
    .await?;
    Ok(ledger_sql::headless(&rows)?)
}
