//! Keyed requests in SQLite.
use super::{Connection, SqliteFile};
use async_trait::async_trait;
use ledger::books::{REQUEST_LEASE_SECONDS, RequestAnswer, RequestBegun, RequestKey, Requests};
use ledger::{StoreError, Timestamp};
use ledger_sql::time;
use rusqlite::Error;

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
            begin(connection, &key, body_hash, now)
        });
        begun.await
    }

    async fn finish(&self, key: &RequestKey, answer: &RequestAnswer) -> Result<(), StoreError> {
        const DOING: &str = "keeping the answer of a keyed request";
        let (key, answer) = (key.clone(), answer.clone());
        let headers = serde_json::to_string(&answer.headers)
            .map_err(|error| StoreError::broken(DOING, error))?;
        // The first answer stands: one that comes after a lost lease changes nothing.
        let finished = self.file.write(DOING, move |connection| {
            connection.execute(
                "UPDATE requests SET status = ?1, content_type = ?2, headers = ?3, body = ?4
                 WHERE account = ?5 AND route = ?6 AND key = ?7 AND status IS NULL",
                (
                    answer.status,
                    answer.content_type,
                    headers,
                    answer.body,
                    key.account,
                    key.route,
                    key.key,
                ),
            )
        });
        finished.await.map(drop)
    }

    async fn abandon(&self, key: &RequestKey, begun_at: Timestamp) -> Result<(), StoreError> {
        let key = key.clone();
        let abandoned = self.file.write("abandoning a keyed request", move |connection| {
            connection.execute(
                "DELETE FROM requests
                 WHERE account = ?1 AND route = ?2 AND key = ?3 AND status IS NULL
                     AND begun_at = ?4",
                (key.account, key.route, key.key, begun_at.millis()),
            )
        });
        abandoned.await.map(drop)
    }

    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        let expired = self.file.write("expiring keyed requests", move |connection| {
            let sql = "DELETE FROM requests WHERE begun_at < ?1";
            Ok(connection.execute(sql, [before.millis()])? as u64)
        });
        expired.await
    }
}

fn begin(
    connection: &Connection,
    key: &RequestKey,
    body_hash: [u8; 32],
    now: Timestamp,
) -> Result<RequestBegun, Error> {
    let found = connection.optional(
        "SELECT * FROM requests WHERE account = ?1 AND route = ?2 AND key = ?3",
        (&key.account, &key.route, &key.key),
        |row| {
            if row.bytes("body_hash")? != body_hash {
                return Ok(Some(RequestBegun::Mismatch));
            }
            if let Some(answer) = ledger_sql::answer(row)? {
                return Ok(Some(RequestBegun::Replay(answer)));
            }
            Ok((now < time(row, "lease_until")?).then_some(RequestBegun::Running))
        },
    )?;
    if let Some(known) = found.flatten() {
        return Ok(known);
    }
    // Whoever let a lease run out is taken for dead: the next one carries the request out.
    connection.execute(
        "INSERT INTO requests (account, route, key, body_hash, begun_at, lease_until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET begun_at = excluded.begun_at,
             lease_until = excluded.lease_until",
        (
            &key.account,
            &key.route,
            &key.key,
            body_hash.as_slice(),
            now.millis(),
            now.plus_seconds(REQUEST_LEASE_SECONDS).millis(),
        ),
    )?;
    Ok(RequestBegun::New)
}
