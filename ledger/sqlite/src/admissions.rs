//! Admissions in SQLite: generations, number leases, steps, and who was let in.
use super::{Connection, SqliteFile};
use async_trait::async_trait;
use ledger::books::{
    Admissions, Admitted, Leased, QueueProgress, QueueRecord, QueueStep, Raised, StepCommitted,
};
use ledger::{Admission, QueueId, SlotRef, StoreError, Timestamp};
use ledger_sql::{count, signed};
use rusqlite::Error;

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
        let queue = queue.clone();
        let found = self.file.read("reading a queue's record", move |connection| {
            connection.optional(
                "SELECT generation, leased_to, lease_start, now_serving,
                        COALESCE((SELECT max(number) FROM admissions WHERE queue_id = q.id), 0)
                            AS admitted_max
                 FROM queues q WHERE id = ?1",
                [queue.as_str()],
                ledger_sql::queue_record,
            )
        });
        found.await
    }

    async fn raise_generation(&self, queue: &QueueId, from: u64) -> Result<Raised, StoreError> {
        const DOING: &str = "raising a queue's generation";
        let queue = queue.clone();
        let raised = self.file.write(DOING, move |connection| raise(connection, &queue, from));
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
        self.file.write(DOING, move |c| lease(c, &queue, generation, count)).await
    }

    async fn step(
        &self,
        queue: &QueueId,
        generation: u64,
        step: QueueStep,
    ) -> Result<StepCommitted, StoreError> {
        let queue = queue.clone();
        let committed = self.file.write("committing a step", move |connection| {
            commit_step(connection, &queue, generation, step)
        });
        committed.await
    }

    async fn steps(&self, queue: &QueueId, since: i64) -> Result<Vec<QueueStep>, StoreError> {
        let queue = queue.clone();
        let steps = self.file.read("reading a queue's steps", move |connection| {
            connection.all(
                "SELECT now_serving, at, granting_millis FROM queue_steps
                 WHERE queue_id = ?1 AND now_serving >= COALESCE((
                     SELECT max(now_serving) FROM queue_steps
                     WHERE queue_id = ?1 AND granting_millis < ?2), 0)
                 ORDER BY now_serving",
                (queue.as_str(), since),
                ledger_sql::step,
            )
        });
        steps.await
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
        self.file.write(DOING, move |c| admit(c, &queue, generation, &rows)).await
    }

    async fn end(&self, slot: &SlotRef, at: Timestamp) -> Result<bool, StoreError> {
        let slot = slot.clone();
        let ended = self.file.write("ending a slot", move |connection| {
            let sql = "UPDATE admissions SET ended_at = ?1
                WHERE queue_id = ?2 AND number = ?3 AND ended_at IS NULL";
            let params = (at.millis(), slot.queue.as_str(), signed(slot.number));
            Ok(connection.execute(sql, params)? > 0)
        });
        ended.await
    }

    async fn admission(&self, slot: &SlotRef) -> Result<Option<Admission>, StoreError> {
        let slot = slot.clone();
        self.file.read("reading an admission", move |c| admission(c, &slot)).await
    }

    async fn admissions(&self, queue: &QueueId) -> Result<Vec<Admission>, StoreError> {
        let queue = queue.clone();
        let all = self.file.read("reading a queue's admissions", move |connection| {
            let sql = "SELECT * FROM admissions WHERE queue_id = ?1 ORDER BY number";
            connection.all(sql, [queue.as_str()], ledger_sql::admission)
        });
        all.await
    }
}

fn raise(connection: &Connection, queue: &QueueId, from: u64) -> Result<Option<Raised>, Error> {
    let raised = connection.optional(
        "UPDATE queues SET generation = generation + 1 WHERE id = ?1 AND generation = ?2
         RETURNING generation",
        (queue.as_str(), signed(from)),
        |row| count(row, "generation"),
    )?;
    if let Some(generation) = raised {
        return Ok(Some(Raised::Won(generation)));
    }
    let sql = "SELECT generation FROM queues WHERE id = ?1";
    let current = connection.optional(sql, [queue.as_str()], |row| count(row, "generation"))?;
    Ok(current.map(Raised::Lost))
}

fn lease(
    connection: &Connection,
    queue: &QueueId,
    generation: u64,
    numbers: u64,
) -> Result<Leased, Error> {
    let leased = connection.optional(
        "UPDATE queues SET lease_start = leased_to + 1, leased_to = leased_to + ?1
         WHERE id = ?2 AND generation = ?3 RETURNING lease_start, leased_to",
        (signed(numbers), queue.as_str(), signed(generation)),
        |row| {
            let (first, last) = (count(row, "lease_start")?, count(row, "leased_to")?);
            Ok(Leased::Numbers { first, last })
        },
    )?;
    Ok(leased.unwrap_or(Leased::Stale))
}

fn commit_step(
    connection: &Connection,
    queue: &QueueId,
    generation: u64,
    step: QueueStep,
) -> Result<StepCommitted, Error> {
    let Some(greatest) = serving(connection, queue, generation)? else {
        return Ok(StepCommitted::Stale);
    };
    if step.now_serving <= greatest {
        return Ok(StepCommitted::Greatest(greatest));
    }
    let now_serving = signed(step.now_serving);
    let sql = "UPDATE queues SET now_serving = ?1 WHERE id = ?2";
    connection.execute(sql, (now_serving, queue.as_str()))?;
    connection.execute(
        "INSERT INTO queue_steps VALUES (?1, ?2, ?3, ?4)",
        (queue.as_str(), now_serving, step.at.millis(), step.granting_millis),
    )?;
    Ok(StepCommitted::Greatest(step.now_serving))
}

/// The greatest step; `None` when `generation` is not the current one.
fn serving(
    connection: &Connection,
    queue: &QueueId,
    generation: u64,
) -> Result<Option<u64>, Error> {
    let sql = "SELECT now_serving FROM queues WHERE id = ?1 AND generation = ?2";
    let params = (queue.as_str(), signed(generation));
    connection.optional(sql, params, |row| count(row, "now_serving"))
}

fn admission(connection: &Connection, slot: &SlotRef) -> Result<Option<Admission>, Error> {
    let sql = "SELECT * FROM admissions WHERE queue_id = ?1 AND number = ?2";
    let params = (slot.queue.as_str(), signed(slot.number));
    connection.optional(sql, params, ledger_sql::admission)
}

fn admit(
    connection: &Connection,
    queue: &QueueId,
    generation: u64,
    rows: &[Admission],
) -> Result<Vec<Admitted>, Error> {
    if serving(connection, queue, generation)?.is_none() {
        return Ok(vec![Admitted::Stale; rows.len()]);
    }
    rows.iter().map(|row| admit_one(connection, row)).collect()
}

fn admit_one(connection: &Connection, row: &Admission) -> Result<Admitted, Error> {
    let inserted = connection.execute(
        "INSERT INTO admissions (queue_id, number, account_id, at, until, ended_at, source)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        (
            row.slot.queue.as_str(),
            signed(row.slot.number),
            row.account.as_str(),
            row.at.millis(),
            row.until.millis(),
            row.ended_at.map(Timestamp::millis),
            row.source.as_str(),
        ),
    )?;
    // What stands there keeps another admission of the same number out.
    let before = if inserted == 0 { admission(connection, &row.slot)? } else { None };
    Ok(before.map_or(Admitted::Done, Admitted::Exists))
}

#[cfg(test)]
mod tests;
