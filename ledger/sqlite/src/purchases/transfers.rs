//! Transfers and their legs, written once.
use crate::Connection;
use ledger::Transfer;
use ledger_sql::legs_of;
use rusqlite::Error;

/// Adds transfers; a second one of the same cause and kind refuses the whole transaction.
pub(super) fn insert(connection: &Connection, transfers: &[&Transfer]) -> Result<(), Error> {
    for transfer in transfers {
        let sql = "INSERT INTO transfers (cause, kind, at) VALUES (?1, ?2, ?3)";
        let at = transfer.at().millis();
        connection.execute(sql, (transfer.cause(), transfer.kind().as_str(), at))?;
    }
    for (cause, kind, ordinal, account, minor, currency) in legs_of(transfers)? {
        connection.execute(
            "INSERT INTO legs (cause, kind, ordinal, account, minor, currency)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (cause, kind, ordinal, account, minor, currency.as_str()),
        )?;
    }
    Ok(())
}
