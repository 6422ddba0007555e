//! Keyed requests in SQLite.
use super::SqliteFile;
use super::row::time;
use async_trait::async_trait;
use ledger::books::{REQUEST_LEASE_SECONDS, RequestAnswer, RequestBegun, RequestKey, Requests};
use ledger::{StoreError, Timestamp};
use sqlx::{Error, Row, SqliteConnection};

/// [`Requests`] in a [`SqliteFile`].
#[derive(Clone)]
pub struct SqliteRequests {
    file: SqliteFile,
}

impl SqliteRequests {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }
}

#[async_trait]
impl Requests for SqliteRequests {
    async fn begin(
        &self,
        key: &RequestKey,
        body_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<RequestBegun, StoreError> {
        let key = key.clone();
        let begun = self.file.write("beginning a keyed request", move |connection| {
            Box::pin(async move { begin(connection, &key, body_hash, now).await })
        });
        begun.await
    }

    async fn finish(&self, key: &RequestKey, answer: &RequestAnswer) -> Result<(), StoreError> {
        const DOING: &str = "keeping the answer of a keyed request";
        let (key, answer) = (key.clone(), answer.clone());
        let headers = serde_json::to_string(&answer.headers)
            .map_err(|error| StoreError::broken(DOING, error))?;
        let finished = self.file.write(DOING, move |connection| {
            Box::pin(async move { finish(connection, key, answer, headers).await })
        });
        finished.await
    }

    async fn abandon(&self, key: &RequestKey, begun_at: Timestamp) -> Result<(), StoreError> {
        let key = key.clone();
        let abandoned = self.file.write("abandoning a keyed request", move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "DELETE FROM requests
                     WHERE account = ? AND route = ? AND key = ? AND status IS NULL
                         AND begun_at = ?",
                )
                .bind(key.account)
                .bind(key.route)
                .bind(key.key)
                .bind(begun_at.millis())
                .execute(connection)
                .await?;
                Ok(())
            })
        });
        abandoned.await
    }

    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        let expired = self.file.write("expiring keyed requests", move |connection| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM requests WHERE begun_at < ?")
                    .bind(before.millis())
                    .execute(connection);
                Ok(done.await?.rows_affected())
            })
        });
        expired.await
    }
}

async fn begin(
    connection: &mut SqliteConnection,
    key: &RequestKey,
    body_hash: [u8; 32],
    now: Timestamp,
) -> Result<RequestBegun, Error> {
    let found = sqlx::query("SELECT * FROM requests WHERE account = ? AND route = ? AND key = ?")
        .bind(&key.account)
        .bind(&key.route)
        .bind(&key.key)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = found {
        if row.try_get::<&[u8], _>("body_hash")? != body_hash {
            return Ok(RequestBegun::Mismatch);
        }
        if let Some(answer) = ledger_sql::answer(&row)? {
            return Ok(RequestBegun::Replay(answer));
        }
        if now < time(&row, "lease_until")? {
            return Ok(RequestBegun::Running);
        }
    }
    // Whoever let a lease run out is taken for dead: the next one carries the request out.
    sqlx::query(
        "INSERT INTO requests (account, route, key, body_hash, begun_at, lease_until)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET begun_at = excluded.begun_at,
             lease_until = excluded.lease_until",
    )
    .bind(&key.account)
    .bind(&key.route)
    .bind(&key.key)
    .bind(body_hash.as_slice())
    .bind(now.millis())
    .bind(now.plus_seconds(REQUEST_LEASE_SECONDS).millis())
    .execute(connection)
    .await?;
    Ok(RequestBegun::New)
}

/// The first answer stands: one that comes after a lost lease changes nothing.
async fn finish(
    connection: &mut SqliteConnection,
    key: RequestKey,
    answer: RequestAnswer,
    headers: String,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE requests SET status = ?, content_type = ?, headers = ?, body = ?
         WHERE account = ? AND route = ? AND key = ? AND status IS NULL",
    )
    .bind(answer.status)
    .bind(answer.content_type)
    .bind(headers)
    .bind(answer.body)
    .bind(key.account)
    .bind(key.route)
    .bind(key.key)
    .execute(connection)
    .await?;
    Ok(())
}
