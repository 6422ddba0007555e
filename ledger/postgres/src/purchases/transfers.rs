//! Transfers and their legs, written once.
use crate::fault::Fault;
use ledger::Transfer;
use ledger_sql::legs_of;
use sqlx::PgConnection;

/// Adds transfers; a second one of the same cause and kind refuses the whole transaction.
pub(super) async fn insert(
    connection: &mut PgConnection,
    transfers: &[&Transfer],
) -> Result<(), Fault> {
    if transfers.is_empty() {
        return Ok(());
    }
    let legs = legs_of(transfers)?;
    sqlx::query(
        "INSERT INTO transfers (cause, kind, at)
         SELECT cause, kind, at FROM unnest($1::text[], $2::text[], $3::bigint[])
             AS t (cause, kind, at)",
    )
    .bind(transfers.iter().map(|transfer| transfer.cause()).collect::<Vec<_>>())
    .bind(transfers.iter().map(|transfer| transfer.kind().as_str()).collect::<Vec<_>>())
    .bind(transfers.iter().map(|transfer| transfer.at().millis()).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO legs (cause, kind, ordinal, account, minor, currency)
         SELECT cause, kind, ordinal, account, minor, currency
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[])
             AS t (cause, kind, ordinal, account, minor, currency)",
    )
    .bind(legs.iter().map(|leg| leg.0).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.1).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.2).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.3).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.4).collect::<Vec<_>>())
    .bind(legs.iter().map(|leg| leg.5.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
