//! Accounts in Postgres.
use super::fault::Fault;
use super::store::PgStore;
use async_trait::async_trait;
use ledger::books::{AccountCreated, Accounts};
use ledger::{Account, AccountId, Role, StoreError};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use std::collections::HashSet;

/// [`Accounts`] in a [`PgStore`].
#[derive(Clone)]
pub struct PgAccounts {
    store: PgStore,
}

impl PgAccounts {
    pub fn new(store: PgStore) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Accounts for PgAccounts {
    async fn create(&self, accounts: &[Account]) -> Result<Vec<AccountCreated>, StoreError> {
        let work = self.store.write("creating accounts", accounts, |connection, accounts| {
            Box::pin(create(connection, accounts))
        });
        work.await
    }

    async fn by_name(&self, username: &str) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT * FROM accounts WHERE username = $1";
        self.one("reading an account by its name", sql, username).await
    }

    async fn by_id(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT * FROM accounts WHERE id = $1";
        self.one("reading an account", sql, id.as_str()).await
    }

    async fn any_of(&self, role: Role) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT * FROM accounts WHERE role = $1 LIMIT 1";
        self.one("looking for an account of a role", sql, role.as_str()).await
    }

    async fn set_role(&self, username: &str, role: Role) -> Result<bool, StoreError> {
        let input = (username, role);
        let work = self.store.write("changing a role", &input, |connection, (username, role)| {
            Box::pin(async move {
                let done = sqlx::query("UPDATE accounts SET role = $2 WHERE username = $1")
                    .bind(username)
                    .bind(role.as_str())
                    .execute(connection);
                Ok(done.await?.rows_affected() > 0)
            })
        });
        work.await
    }
}

impl PgAccounts {
    async fn one(
        &self,
        doing: &'static str,
        sql: &'static str,
        key: &str,
    ) -> Result<Option<Account>, StoreError> {
        let input = (sql, key);
        let work = self.store.read(doing, &input, |connection, (sql, key)| {
            Box::pin(async move {
                let found = sqlx::query(*sql)
                    .bind(key)
                    .try_map(|row: PgRow| Ok(ledger_sql::account(&row)?))
                    .fetch_optional(connection);
                Ok(found.await?)
            })
        });
        work.await
    }
}

async fn create(
    connection: &mut PgConnection,
    accounts: &[Account],
) -> Result<Vec<AccountCreated>, Fault> {
    // By name, so that two batches of the same names wait for each other in one direction only;
    // of a name that stands here twice the first gets it.
    let mut sorted: Vec<&Account> = accounts.iter().collect();
    sorted.sort_by_key(|account| &account.username);
    let column = |value: fn(&Account) -> &str| sorted.iter().map(|a| value(a)).collect::<Vec<_>>();
    let hashes: Vec<_> = sorted.iter().map(|account| account.password_hash.as_deref()).collect();
    let times: Vec<_> = sorted.iter().map(|account| account.created_at.millis()).collect();
    sqlx::query(
        "INSERT INTO accounts (id, username, password_hash, role, created_at)
         SELECT id, username, password_hash, role, created_at
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
             WITH ORDINALITY AS t (id, username, password_hash, role, created_at, ordinal)
         ORDER BY ordinal ON CONFLICT DO NOTHING",
    )
    .bind(column(|account| account.id.as_str()))
    .bind(column(|account| &account.username))
    .bind(hashes)
    .bind(column(|account| account.role.as_str()))
    .bind(times)
    .execute(&mut *connection)
    .await?;
    // The same account again is a call whose reply was lost.
    let there: Vec<(String, String)> =
        sqlx::query_as("SELECT id, username FROM accounts WHERE id = ANY($1)")
            .bind(column(|account| account.id.as_str()))
            .fetch_all(connection)
            .await?;
    let there: HashSet<(&str, &str)> =
        there.iter().map(|(id, username)| (id.as_str(), username.as_str())).collect();
    let answer = |account: &Account| {
        let own = there.contains(&(account.id.as_str(), account.username.as_str()));
        if own { AccountCreated::Created } else { AccountCreated::Taken }
    };
    Ok(accounts.iter().map(answer).collect())
}
