//! Transfers and their legs, written once.
use crate::row::json;
use ledger::Transfer;
use ledger_sql::legs_of;
use sqlx::{Error, SqliteConnection};

/// Adds transfers; a second one of the same cause and kind refuses the whole transaction.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    transfers: &[&Transfer],
) -> Result<(), Error> {
    if transfers.is_empty() {
        return Ok(());
    }
    let legs = legs_of(transfers)?;
    let rows: Vec<_> = transfers.iter().map(|t| (t.cause(), t.kind().as_str(), t.at())).collect();
    sqlx::query(
        "INSERT INTO transfers (cause, kind, at) \
         SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1)",
    )
    .bind(json(&rows)?)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO legs (cause, kind, ordinal, account, minor, currency) \
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 \
         FROM json_each(?1)",
    )
    .bind(json(&legs)?)
    .execute(connection)
    .await?;
    Ok(())
}
