//! Accounts in SQLite.
use super::{Connection, SqliteFile};
use async_trait::async_trait;
use ledger::books::{AccountCreated, Accounts};
use ledger::{Account, AccountId, Role, StoreError};
use rusqlite::Error;

/// [`Accounts`] in a [`SqliteFile`].
#[derive(Clone)]
pub struct SqliteAccounts {
    file: SqliteFile,
}

impl SqliteAccounts {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }

    /// The account whose column has this value, as `sql` looks for it.
    async fn one(
        &self,
        doing: &'static str,
        sql: &'static str,
        value: &str,
    ) -> Result<Option<Account>, StoreError> {
        let value = value.to_owned();
        self.file.read(doing, move |c| c.optional(sql, [value], ledger_sql::account)).await
    }
}

#[async_trait]
impl Accounts for SqliteAccounts {
    async fn create(&self, accounts: &[Account]) -> Result<Vec<AccountCreated>, StoreError> {
        let accounts = accounts.to_vec();
        let created = self.file.write("creating accounts", move |connection| {
            accounts.iter().map(|account| create(connection, account)).collect()
        });
        created.await
    }

    async fn by_name(&self, username: &str) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT * FROM accounts WHERE username = ?1";
        self.one("reading an account by its name", sql, username).await
    }

    async fn by_id(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT * FROM accounts WHERE id = ?1";
        self.one("reading an account", sql, id.as_str()).await
    }

    async fn any_of(&self, role: Role) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT * FROM accounts WHERE role = ?1 LIMIT 1";
        self.one("looking for an account of a role", sql, role.as_str()).await
    }

    async fn set_role(&self, username: &str, role: Role) -> Result<bool, StoreError> {
        let username = username.to_owned();
        let changed = self.file.write("changing a role", move |connection| {
            let sql = "UPDATE accounts SET role = ?1 WHERE username = ?2";
            Ok(connection.execute(sql, (role.as_str(), username))? > 0)
        });
        changed.await
    }
}

fn create(connection: &Connection, account: &Account) -> Result<AccountCreated, Error> {
    let inserted = connection.execute(
        "INSERT INTO accounts (id, username, password_hash, role, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        (
            account.id.as_str(),
            &account.username,
            &account.password_hash,
            account.role.as_str(),
            account.created_at.millis(),
        ),
    )?;
    if inserted > 0 {
        return Ok(AccountCreated::Created);
    }
    // The same account again is a call whose reply was lost.
    let own = connection.number(
        "SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ?1 AND username = ?2)",
        (account.id.as_str(), &account.username),
    )?;
    Ok(if own == 1 { AccountCreated::Created } else { AccountCreated::Taken })
}
