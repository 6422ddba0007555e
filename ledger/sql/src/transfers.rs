//! Rows of transfers and their legs: put together when read, taken apart when written.
use super::{Record, RowError, known, parsed, time};
use ledger::{
    Currency, Leg, Money, Timestamp, Transfer, TransferKind, TransferRecord, Unbalanced,
    legs_balance,
};

/// A leg about to be written: its transfer's cause and kind, its ordinal, account, minor units
/// and currency.
pub type LegRow<'a> = (&'a str, &'static str, i64, &'a str, i64, &'a Currency);

/// The legs of new transfers. The constructors balance every transfer; the record does not rely
/// on that.
pub fn legs_of<'a>(transfers: &[&'a Transfer]) -> Result<Vec<LegRow<'a>>, RowError> {
    if !transfers.iter().all(|transfer| legs_balance(transfer.legs())) {
        return Err(RowError::unwritable(Unbalanced));
    }
    let rows = transfers.iter().flat_map(|transfer| {
        (0..).zip(transfer.legs()).map(|(ordinal, Leg { account, amount })| {
            let (cause, kind) = (transfer.cause(), transfer.kind().as_str());
            (cause, kind, ordinal, account.as_str(), amount.minor, &amount.currency)
        })
    });
    Ok(rows.collect())
}

/// Transfers from rows that are joined with their legs and sorted by `mark`, each with its mark.
pub fn transfers<R: Record>(rows: &[R]) -> Result<Vec<(i64, TransferRecord)>, RowError> {
    let mut found: Vec<(i64, TransferRecord)> = Vec::new();
    for row in rows {
        let mark = row.integer("mark")?;
        if found.last().is_none_or(|(last, _)| *last != mark) {
            found.push((mark, record(row, time(row, "at")?, false)?));
        }
        add_leg(&mut found, row)?;
    }
    Ok(found)
}

/// Transfers whose own row is missing, from the rows of their legs, sorted by cause and kind.
pub fn headless<R: Record>(rows: &[R]) -> Result<Vec<(i64, TransferRecord)>, RowError> {
    let mut found: Vec<(i64, TransferRecord)> = Vec::new();
    for row in rows {
        let record = record(row, Timestamp::default(), true)?;
        let same = |last: &TransferRecord| last.cause == record.cause && last.kind == record.kind;
        if !found.last().is_some_and(|(_, last)| same(last)) {
            found.push((0, record));
        }
        add_leg(&mut found, row)?;
    }
    Ok(found)
}

fn record(row: &impl Record, at: Timestamp, headless: bool) -> Result<TransferRecord, RowError> {
    let kind = known(row, "kind", |kind| match kind {
        "capture" => Some(TransferKind::Capture),
        "refund" => Some(TransferKind::Refund),
        _ => None,
    })?;
    let cause = row.text("cause")?.to_owned();
    Ok(TransferRecord { cause, kind, legs: Vec::new(), at, headless })
}

/// A transfer without legs has one row here, all of whose leg's columns are null.
fn add_leg(found: &mut [(i64, TransferRecord)], row: &impl Record) -> Result<(), RowError> {
    let account = row.text_maybe("account")?.map(str::to_owned);
    if let (Some(account), Some((_, last))) = (account, found.last_mut()) {
        let currency = parsed(row, "currency", Currency::parse)?;
        let amount = Money::new(row.integer("minor")?, currency);
        last.legs.push(Leg { account, amount });
    }
    Ok(())
}
