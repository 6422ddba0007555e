//! Rows of accounts and of keyed requests.
use super::{Record, RowError, from_json, known, parsed, time, undecodable};
use ledger::books::RequestAnswer;
use ledger::{Account, AccountId, Role};

pub fn account(row: &dyn Record) -> Result<Account, RowError> {
    Ok(Account {
        id: parsed(row, "id", AccountId::parse)?,
        username: row.text("username")?.to_owned(),
        password_hash: row.text_maybe("password_hash")?.map(str::to_owned),
        role: known(row, "role", Role::parse)?,
        created_at: time(row, "created_at")?,
    })
}

/// `None` while the request is being carried out.
pub fn answer(row: &dyn Record) -> Result<Option<RequestAnswer>, RowError> {
    let Some(status) = row.integer_maybe("status")? else { return Ok(None) };
    Ok(Some(RequestAnswer {
        status: u16::try_from(status).map_err(|_| undecodable("status", status))?,
        content_type: row.text("content_type")?.to_owned(),
        headers: from_json(row, "headers")?,
        body: row.bytes("body")?.to_owned(),
    }))
}
