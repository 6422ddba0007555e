//! Keyed requests in Postgres.
use super::fault::Fault;
use super::store::PgStore;
use async_trait::async_trait;
use ledger::books::{REQUEST_LEASE_SECONDS, RequestAnswer, RequestBegun, RequestKey, Requests};
use ledger::{StoreError, Timestamp};
use ledger_sql::Record;
use sqlx::PgConnection;

/// [`Requests`] in a [`PgStore`].
#[derive(Clone)]
pub struct PgRequests {
    store: PgStore,
}

impl PgRequests {
    pub fn new(store: PgStore) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Requests for PgRequests {
    async fn begin(
        &self,
        key: &RequestKey,
        body_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<RequestBegun, StoreError> {
        const DOING: &str = "beginning a keyed request";
        let input = (key, body_hash, now);
        let work = self.store.write(DOING, &input, |connection, (key, body_hash, now)| {
            Box::pin(begin(connection, key, body_hash, *now))
        });
        work.await
    }

    async fn finish(&self, key: &RequestKey, answer: &RequestAnswer) -> Result<(), StoreError> {
        const DOING: &str = "keeping the answer of a keyed request";
        let input = (key, answer);
        let work = self.store.write(DOING, &input, |connection, (key, answer)| {
            Box::pin(finish(connection, key, answer))
        });
        work.await
    }

    async fn abandon(&self, key: &RequestKey, begun_at: Timestamp) -> Result<(), StoreError> {
        const DOING: &str = "abandoning a keyed request";
        let input = (key, begun_at);
        let work = self.store.write(DOING, &input, |connection, (key, begun_at)| {
            Box::pin(async move {
                sqlx::query(
                    "DELETE FROM requests
                     WHERE account = $1 AND route = $2 AND key = $3 AND status IS NULL
                         AND begun_at = $4",
                )
                .bind(&key.account)
                .bind(&key.route)
                .bind(&key.key)
                .bind(begun_at.millis())
                .execute(connection)
                .await?;
                Ok(())
            })
        });
        work.await
    }

    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        let work = self.store.write("expiring keyed requests", &before, |connection, before| {
            Box::pin(async move {
                // What is being written at this moment is left to the next time.
                let done = sqlx::query(
                    "WITH old AS MATERIALIZED (
                         SELECT account, route, key FROM requests WHERE begun_at < $1
                         FOR UPDATE SKIP LOCKED)
                     DELETE FROM requests r USING old
                     WHERE r.account = old.account AND r.route = old.route AND r.key = old.key",
                )
                .bind(before.millis())
                .execute(connection);
                Ok(done.await?.rows_affected())
            })
        });
        work.await
    }
}

async fn begin(
    connection: &mut PgConnection,
    key: &RequestKey,
    body_hash: &[u8; 32],
    now: Timestamp,
) -> Result<RequestBegun, Fault> {
    // Whoever let a lease run out is taken for dead: the next one carries the request out.
    let leased = sqlx::query(
        "INSERT INTO requests (account, route, key, body_hash, begun_at, lease_until)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (account, route, key) DO UPDATE
         SET begun_at = excluded.begun_at, lease_until = excluded.lease_until
         WHERE requests.body_hash = excluded.body_hash AND requests.status IS NULL
             AND requests.lease_until <= excluded.begun_at",
    )
    .bind(&key.account)
    .bind(&key.route)
    .bind(&key.key)
    .bind(body_hash.as_slice())
    .bind(now.millis())
    .bind(now.plus_seconds(REQUEST_LEASE_SECONDS).millis())
    .execute(&mut *connection)
    .await?;
    if leased.rows_affected() > 0 {
        return Ok(RequestBegun::New);
    }
    let found =
        sqlx::query("SELECT * FROM requests WHERE account = $1 AND route = $2 AND key = $3")
            .bind(&key.account)
            .bind(&key.route)
            .bind(&key.key)
            .fetch_optional(connection)
            .await?;
    // It was abandoned or expired between the two looks.
    let Some(row) = found else { return Err(Fault::Contended) };
    if row.bytes("body_hash")? != body_hash {
        return Ok(RequestBegun::Mismatch);
    }
    Ok(ledger_sql::answer(&row)?.map_or(RequestBegun::Running, RequestBegun::Replay))
}

/// The first answer stands: one that comes after a lost lease changes nothing.
async fn finish(
    connection: &mut PgConnection,
    key: &RequestKey,
    answer: &RequestAnswer,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE requests SET status = $4, content_type = $5, headers = $6, body = $7
         WHERE account = $1 AND route = $2 AND key = $3 AND status IS NULL",
    )
    .bind(&key.account)
    .bind(&key.route)
    .bind(&key.key)
    .bind(i64::from(answer.status))
    .bind(&answer.content_type)
    .bind(ledger_sql::json(&answer.headers)?)
    .bind(&answer.body)
    .execute(connection)
    .await?;
    Ok(())
}
