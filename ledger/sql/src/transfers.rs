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
        return Err(Unbalanced.into());
    }
    let rows = transfers.iter().flat_map(|transfer| {
        (0..).zip(transfer.legs()).map(|(ordinal, Leg { account, amount })| {
            let (cause, kind) = (transfer.cause(), transfer.kind().as_str());
            (cause, kind, ordinal, account.as_str(), amount.minor, &amount.currency)
        })
    });
    Ok(rows.collect())
}

/// A transfer's row and one of its legs.
pub struct TransferRow {
    /// Where the transfer stands in the order of recording.
    mark: i64,
    transfer: TransferRecord,
    /// `None` for a transfer without legs.
    leg: Option<Leg>,
}

/// A row of a transfer joined with a leg; all of the leg's columns are null where it has none.
pub fn transfer_row(row: &dyn Record) -> Result<TransferRow, RowError> {
    let (mark, at) = (row.integer("mark")?, time(row, "at")?);
    Ok(TransferRow { mark, transfer: record(row, at, false)?, leg: leg(row)? })
}

/// A row of a leg whose transfer's own row is missing.
pub fn headless_row(row: &dyn Record) -> Result<TransferRow, RowError> {
    let transfer = record(row, Timestamp::default(), true)?;
    Ok(TransferRow { mark: 0, transfer, leg: leg(row)? })
}

/// Transfers, each with its mark, from rows in which the legs of each lie together.
pub fn transfers(rows: Vec<TransferRow>) -> Vec<(i64, TransferRecord)> {
    let mut found: Vec<(i64, TransferRecord)> = Vec::new();
    for TransferRow { mark, transfer, leg } in rows {
        let same = |(_, last): &&mut (i64, TransferRecord)| {
            last.cause == transfer.cause && last.kind == transfer.kind
        };
        match found.last_mut().filter(same) {
            Some((_, last)) => last.legs.extend(leg),
            None => {
                found.push((mark, TransferRecord { legs: leg.into_iter().collect(), ..transfer }));
            }
        }
    }
    found
}

fn record(row: &dyn Record, at: Timestamp, headless: bool) -> Result<TransferRecord, RowError> {
    let kind = known(row, "kind", |kind| match kind {
        "capture" => Some(TransferKind::Capture),
        "refund" => Some(TransferKind::Refund),
        _ => None,
    })?;
    let cause = row.text("cause")?.to_owned();
    Ok(TransferRecord { cause, kind, legs: Vec::new(), at, headless })
}

fn leg(row: &dyn Record) -> Result<Option<Leg>, RowError> {
    let Some(account) = row.text_maybe("account")? else { return Ok(None) };
    let currency = parsed(row, "currency", Currency::parse)?;
    let amount = Money::new(row.integer("minor")?, currency);
    Ok(Some(Leg { account: account.to_owned(), amount }))
}
