//! Admissions in SQLite: generations, number leases, steps, and who was let in.
use super::SqliteFile;
use super::row::{count, signed, unread};
use async_trait::async_trait;
use ledger::books::{
    Admissions, Admitted, Leased, QueueProgress, QueueRecord, QueueStep, Raised, StepCommitted,
};
use ledger::{Admission, QueueId, SlotRef, StoreError, Timestamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, SqliteConnection};

/// [`Admissions`] in a [`SqliteFile`].
#[derive(Clone)]
pub struct SqliteAdmissions {
    file: SqliteFile,
}

impl SqliteAdmissions {
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }
}

#[async_trait]
impl QueueProgress for SqliteAdmissions {
    async fn record(&self, queue: &QueueId) -> Result<Option<QueueRecord>, StoreError> {
        let found = sqlx::query(
            "SELECT generation, leased_to, lease_start, now_serving,
                    COALESCE((SELECT max(number) FROM admissions WHERE queue_id = q.id), 0)
                        AS admitted_max
             FROM queues q WHERE id = ?",
        )
        .bind(queue.as_str())
        .try_map(|row: SqliteRow| Ok(ledger_sql::queue_record(&row)?))
        .fetch_optional(self.file.readers());
        found.await.map_err(unread("reading a queue's record"))
    }

    async fn raise_generation(&self, queue: &QueueId, from: u64) -> Result<Raised, StoreError> {
        const DOING: &str = "raising a queue's generation";
        let queue = queue.clone();
        let raised = self.file.write(DOING, move |connection| {
            Box::pin(async move { raise(connection, &queue, from).await })
        });
        raised.await?.ok_or_else(|| StoreError::broken(DOING, "there is no such queue"))
    }

    async fn lease(
        &self,
        queue: &QueueId,
        generation: u64,
        count: u64,
    ) -> Result<Leased, StoreError> {
        const DOING: &str = "leasing numbers";
        if count == 0 {
            return Err(StoreError::broken(DOING, "a lease is of at least one number"));
        }
        let queue = queue.clone();
        let leased = self.file.write(DOING, move |connection| {
            Box::pin(async move { lease(connection, &queue, generation, count).await })
        });
        leased.await
    }

    async fn step(
        &self,
        queue: &QueueId,
        generation: u64,
        step: QueueStep,
    ) -> Result<StepCommitted, StoreError> {
        let queue = queue.clone();
        let committed = self.file.write("committing a step", move |connection| {
            Box::pin(async move { commit_step(connection, &queue, generation, step).await })
        });
        committed.await
    }

    async fn steps(&self, queue: &QueueId, since: i64) -> Result<Vec<QueueStep>, StoreError> {
        let steps = sqlx::query(
            "SELECT now_serving, at, granting_millis FROM queue_steps
             WHERE queue_id = ?1 AND now_serving >= COALESCE((
                 SELECT max(now_serving) FROM queue_steps
                 WHERE queue_id = ?1 AND granting_millis < ?2), 0)
             ORDER BY now_serving",
        )
        .bind(queue.as_str())
        .bind(since)
        .try_map(|row: SqliteRow| Ok(ledger_sql::step(&row)?))
        .fetch_all(self.file.readers());
        steps.await.map_err(unread("reading a queue's steps"))
    }
}

#[async_trait]
impl Admissions for SqliteAdmissions {
    async fn admit(
        &self,
        queue: &QueueId,
        generation: u64,
        rows: &[Admission],
    ) -> Result<Vec<Admitted>, StoreError> {
        const DOING: &str = "recording admissions";
        if rows.iter().any(|row| row.slot.queue != *queue) {
            return Err(StoreError::broken(DOING, "an admission names another queue"));
        }
        let (queue, rows) = (queue.clone(), rows.to_vec());
        let admitted = self.file.write(DOING, move |connection| {
            Box::pin(async move { admit(connection, &queue, generation, &rows).await })
        });
        admitted.await
    }

    async fn end(&self, slot: &SlotRef, at: Timestamp) -> Result<bool, StoreError> {
        let slot = slot.clone();
        let ended = self.file.write("ending a slot", move |connection| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE admissions SET ended_at = ?
                     WHERE queue_id = ? AND number = ? AND ended_at IS NULL",
                )
                .bind(at.millis())
                .bind(slot.queue.as_str())
                .bind(signed(slot.number))
                .execute(connection);
                Ok(done.await?.rows_affected() > 0)
            })
        });
        ended.await
    }

    async fn admission(&self, slot: &SlotRef) -> Result<Option<Admission>, StoreError> {
        let found = sqlx::query("SELECT * FROM admissions WHERE queue_id = ? AND number = ?")
            .bind(slot.queue.as_str())
            .bind(signed(slot.number))
            .try_map(|row: SqliteRow| Ok(ledger_sql::admission(&row)?))
            .fetch_optional(self.file.readers());
        found.await.map_err(unread("reading an admission"))
    }

    async fn admissions(&self, queue: &QueueId) -> Result<Vec<Admission>, StoreError> {
        let all = sqlx::query("SELECT * FROM admissions WHERE queue_id = ? ORDER BY number")
            .bind(queue.as_str())
            .try_map(|row: SqliteRow| Ok(ledger_sql::admission(&row)?))
            .fetch_all(self.file.readers());
        all.await.map_err(unread("reading a queue's admissions"))
    }
}

async fn raise(
    connection: &mut SqliteConnection,
    queue: &QueueId,
    from: u64,
) -> Result<Option<Raised>, Error> {
    let raised = sqlx::query(
        "UPDATE queues SET generation = generation + 1 WHERE id = ? AND generation = ?
         RETURNING generation",
    )
    .bind(queue.as_str())
    .bind(signed(from))
    .try_map(|row: SqliteRow| Ok(count(&row, "generation")?))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(generation) = raised {
        return Ok(Some(Raised::Won(generation)));
    }
    let current = sqlx::query("SELECT generation FROM queues WHERE id = ?")
        .bind(queue.as_str())
        .try_map(|row: SqliteRow| Ok(count(&row, "generation")?))
        .fetch_optional(connection);
    Ok(current.await?.map(Raised::Lost))
}

async fn lease(
    connection: &mut SqliteConnection,
    queue: &QueueId,
    generation: u64,
    numbers: u64,
) -> Result<Leased, Error> {
    let leased = sqlx::query(
        "UPDATE queues SET lease_start = leased_to + 1, leased_to = leased_to + ?
         WHERE id = ? AND generation = ? RETURNING lease_start, leased_to",
    )
    .bind(signed(numbers))
    .bind(queue.as_str())
    .bind(signed(generation))
    .try_map(|row: SqliteRow| {
        let (first, last) = (count(&row, "lease_start")?, count(&row, "leased_to")?);
        Ok(Leased::Numbers { first, last })
    })
    .fetch_optional(connection);
    Ok(leased.await?.unwrap_or(Leased::Stale))
}

async fn commit_step(
    connection: &mut SqliteConnection,
    queue: &QueueId,
    generation: u64,
    step: QueueStep,
) -> Result<StepCommitted, Error> {
    let Some(greatest) = serving(connection, queue, generation).await? else {
        return Ok(StepCommitted::Stale);
    };
    if step.now_serving <= greatest {
        return Ok(StepCommitted::Greatest(greatest));
    }
    sqlx::query("UPDATE queues SET now_serving = ? WHERE id = ?")
        .bind(signed(step.now_serving))
        .bind(queue.as_str())
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO queue_steps VALUES (?, ?, ?, ?)")
        .bind(queue.as_str())
        .bind(signed(step.now_serving))
        .bind(step.at.millis())
        .bind(step.granting_millis)
        .execute(connection)
        .await?;
    Ok(StepCommitted::Greatest(step.now_serving))
}

/// The greatest step; `None` when `generation` is not the current one.
async fn serving(
    connection: &mut SqliteConnection,
    queue: &QueueId,
    generation: u64,
) -> Result<Option<u64>, Error> {
    sqlx::query("SELECT now_serving FROM queues WHERE id = ? AND generation = ?")
        .bind(queue.as_str())
        .bind(signed(generation))
        .try_map(|row: SqliteRow| Ok(count(&row, "now_serving")?))
        .fetch_optional(connection)
        .await
}

async fn admit(
    connection: &mut SqliteConnection,
    queue: &QueueId,
    generation: u64,
    rows: &[Admission],
) -> Result<Vec<Admitted>, Error> {
    if serving(connection, queue, generation).await?.is_none() {
        return Ok(vec![Admitted::Stale; rows.len()]);
    }
    let mut answers = Vec::with_capacity(rows.len());
    for row in rows {
        answers.push(admit_one(connection, row).await?);
    }
    Ok(answers)
}

async fn admit_one(connection: &mut SqliteConnection, row: &Admission) -> Result<Admitted, Error> {
    let inserted = sqlx::query(
        "INSERT INTO admissions (queue_id, number, account_id, at, until, ended_at, source)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(row.slot.queue.as_str())
    .bind(signed(row.slot.number))
    .bind(row.account.as_str())
    .bind(row.at.millis())
    .bind(row.until.millis())
    .bind(row.ended_at.map(Timestamp::millis))
    .bind(row.source.as_str())
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() > 0 {
        return Ok(Admitted::Done);
    }
    let existing = sqlx::query("SELECT * FROM admissions WHERE queue_id = ? AND number = ?")
        .bind(row.slot.queue.as_str())
        .bind(signed(row.slot.number))
        .try_map(|row: SqliteRow| Ok(ledger_sql::admission(&row)?))
        .fetch_one(connection);
    Ok(Admitted::Exists(existing.await?))
}

#[cfg(test)]
mod tests;
