//! Accounts in SQLite.
use super::SqliteFile;
use super::row::unread;
use async_trait::async_trait;
use ledger::books::{AccountCreated, Accounts};
use ledger::{Account, AccountId, Role, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, SqliteConnection};

/// [`Accounts`] in a [`SqliteFile`].
#[derive(Clone)]
pub struct SqliteAccounts {
    file: SqliteFile,
}

impl SqliteAccounts {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }
}

#[async_trait]
impl Accounts for SqliteAccounts {
    async fn create(&self, accounts: &[Account]) -> Result<Vec<AccountCreated>, StoreError> {
        let accounts = accounts.to_vec();
        let created = self.file.write("creating accounts", move |connection| {
            Box::pin(async move {
                let mut answers = Vec::with_capacity(accounts.len());
                for account in &accounts {
                    answers.push(create(connection, account).await?);
                }
                Ok(answers)
            })
        });
        created.await
    }

    async fn by_name(&self, username: &str) -> Result<Option<Account>, StoreError> {
        let found = sqlx::query("SELECT * FROM accounts WHERE username = ?")
            .bind(username)
            .try_map(|row: SqliteRow| Ok(ledger_sql::account(&row)?))
            .fetch_optional(self.file.readers());
        found.await.map_err(unread("reading an account by its name"))
    }

    async fn by_id(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let found = sqlx::query("SELECT * FROM accounts WHERE id = ?")
            .bind(id.as_str())
            .try_map(|row: SqliteRow| Ok(ledger_sql::account(&row)?))
            .fetch_optional(self.file.readers());
        found.await.map_err(unread("reading an account"))
    }

    async fn any_of(&self, role: Role) -> Result<Option<Account>, StoreError> {
        let found = sqlx::query("SELECT * FROM accounts WHERE role = ? LIMIT 1")
            .bind(role.as_str())
            .try_map(|row: SqliteRow| Ok(ledger_sql::account(&row)?))
            .fetch_optional(self.file.readers());
        found.await.map_err(unread("looking for an account of a role"))
    }

    async fn set_role(&self, username: &str, role: Role) -> Result<bool, StoreError> {
        let username = username.to_owned();
        let changed = self.file.write("changing a role", move |connection| {
            Box::pin(async move {
                let done = sqlx::query("UPDATE accounts SET role = ? WHERE username = ?")
                    .bind(role.as_str())
                    .bind(username)
                    .execute(connection);
                Ok(done.await?.rows_affected() > 0)
            })
        });
        changed.await
    }
}

async fn create(
    connection: &mut SqliteConnection,
    account: &Account,
) -> Result<AccountCreated, Error> {
    let inserted = sqlx::query(
        "INSERT INTO accounts (id, username, password_hash, role, created_at)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(account.id.as_str())
    .bind(&account.username)
    .bind(&account.password_hash)
    .bind(account.role.as_str())
    .bind(account.created_at.millis())
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() > 0 {
        return Ok(AccountCreated::Created);
    }
    // The same account again is a call whose reply was lost.
    let own = sqlx::query("SELECT 1 FROM accounts WHERE id = ? AND username = ?")
        .bind(account.id.as_str())
        .bind(&account.username)
        .fetch_optional(connection)
        .await?;
    Ok(if own.is_some() { AccountCreated::Created } else { AccountCreated::Taken })
}
