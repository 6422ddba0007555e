//! Transfers put together from their rows; legs without a row come at the end.
use crate::books::TransferRecord;
use crate::clock::Timestamp;
use crate::money::{Currency, Money};
use crate::page::{Cursor, Page};
use crate::sqlite::row::{known, parsed, time};
use crate::transfer::{Leg, Transfer, TransferKind};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row, SqlitePool};

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
    let mut found: Vec<(i64, TransferRecord)> = Vec::new();
    for row in &rows {
        let mark: i64 = row.try_get("mark")?;
        if found.last().is_none_or(|(last, _)| *last != mark) {
            found.push((mark, record(row, time(row, "at")?, false)?));
        }
        add_leg(&mut found, row)?;
    }
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
    let mut found: Vec<(i64, TransferRecord)> = Vec::new();
    for row in &rows {
        let record = record(row, Timestamp::default(), true)?;
        let same = |last: &TransferRecord| {
            last.transfer.cause == record.transfer.cause
                && last.transfer.kind == record.transfer.kind
        };
        if !found.last().is_some_and(|(_, last)| same(last)) {
            found.push((0, record));
        }
        add_leg(&mut found, row)?;
    }
    Ok(found)
}

fn record(row: &SqliteRow, at: Timestamp, headless: bool) -> Result<TransferRecord, Error> {
    let kind = known(row, "kind", |kind| match kind {
        "capture" => Some(TransferKind::Capture),
        "refund" => Some(TransferKind::Refund),
        _ => None,
    })?;
    let transfer = Transfer { cause: row.try_get("cause")?, kind, legs: Vec::new(), at };
    Ok(TransferRecord { transfer, headless })
}

/// A transfer without legs has one row here, all of whose leg's columns are null.
fn add_leg(found: &mut [(i64, TransferRecord)], row: &SqliteRow) -> Result<(), Error> {
    let account: Option<String> = row.try_get("account")?;
    if let (Some(account), Some((_, last))) = (account, found.last_mut()) {
        let currency = parsed(row, "currency", Currency::parse)?;
        let amount = Money::new(row.try_get("minor")?, currency);
        last.transfer.legs.push(Leg { account, amount });
    }
    Ok(())
}
