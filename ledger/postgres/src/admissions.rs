//! Admissions in Postgres: generations, number leases, steps, and who was let in.
mod writes;

use super::store::PgStore;
use async_trait::async_trait;
use ledger::books::{
    Admissions, Admitted, Leased, QueueProgress, QueueRecord, QueueStep, Raised, StepCommitted,
};
use ledger::{Admission, QueueId, SlotRef, StoreError, Timestamp};
use ledger_sql::signed;
use sqlx::postgres::PgRow;

/// [`Admissions`] in a [`PgStore`].
#[derive(Clone)]
pub struct PgAdmissions {
    store: PgStore,
}

impl PgAdmissions {
    pub fn new(store: PgStore) -> Self {
        Self { store }
    }
}

#[async_trait]
impl QueueProgress for PgAdmissions {
    async fn record(&self, queue: &QueueId) -> Result<Option<QueueRecord>, StoreError> {
        let work = self.store.read("reading a queue's record", queue, |connection, queue| {
            Box::pin(async move {
                let found = sqlx::query(
                    "SELECT g.generation, l.leased_to, l.lease_start, s.now_serving,
                         COALESCE((SELECT max(number) FROM admissions WHERE queue_id = $1), 0)
                             AS admitted_max
                     FROM queue_generations g JOIN queue_leases l USING (queue_id)
                         JOIN queue_serving s USING (queue_id)
                     WHERE queue_id = $1",
                )
                .bind(queue.as_str())
                .try_map(|row: PgRow| Ok(ledger_sql::queue_record(&row)?))
                .fetch_optional(connection);
                Ok(found.await?)
            })
        });
        work.await
    }

    async fn raise_generation(&self, queue: &QueueId, from: u64) -> Result<Raised, StoreError> {
        const DOING: &str = "raising a queue's generation";
        let input = (queue, from);
        let work = self.store.write(DOING, &input, |connection, (queue, from)| {
            Box::pin(writes::raise(connection, queue, *from))
        });
        work.await?.ok_or_else(|| StoreError::broken(DOING, "there is no such queue"))
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
        let input = (queue, generation, count);
        let work = self.store.write(DOING, &input, |connection, (queue, generation, count)| {
            Box::pin(writes::lease(connection, queue, *generation, *count))
        });
        work.await
    }

    async fn step(
        &self,
        queue: &QueueId,
        generation: u64,
        step: QueueStep,
    ) -> Result<StepCommitted, StoreError> {
        const DOING: &str = "committing a step";
        let input = (queue, generation, step);
        let work = self.store.write(DOING, &input, |connection, (queue, generation, step)| {
            Box::pin(writes::step(connection, queue, *generation, *step))
        });
        work.await
    }

    async fn steps(&self, queue: &QueueId, since: i64) -> Result<Vec<QueueStep>, StoreError> {
        let input = (queue, since);
        let work = self.store.read("reading a queue's steps", &input, |connection, input| {
            Box::pin(async move {
                let steps = sqlx::query(
                    "SELECT now_serving, at, granting_millis FROM queue_steps
                     WHERE queue_id = $1 AND now_serving >= COALESCE((
                         SELECT max(now_serving) FROM queue_steps
                         WHERE queue_id = $1 AND granting_millis < $2), 0)
                     ORDER BY now_serving",
                )
                .bind(input.0.as_str())
                .bind(input.1)
                .try_map(|row: PgRow| Ok(ledger_sql::step(&row)?))
                .fetch_all(connection);
                Ok(steps.await?)
            })
        });
        work.await
    }
}

#[async_trait]
impl Admissions for PgAdmissions {
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
        let input = (queue, generation, rows);
        let work = self.store.write(DOING, &input, |connection, (queue, generation, rows)| {
            Box::pin(writes::admit(connection, queue, *generation, rows))
        });
        work.await
    }

    async fn end(&self, slot: &SlotRef, at: Timestamp) -> Result<bool, StoreError> {
        let input = (slot, at);
        let work = self.store.write("ending a slot", &input, |connection, (slot, at)| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE admissions SET ended_at = $3
                     WHERE queue_id = $1 AND number = $2 AND ended_at IS NULL",
                )
                .bind(slot.queue.as_str())
                .bind(signed(slot.number))
                .bind(at.millis())
                .execute(connection);
                Ok(done.await?.rows_affected() > 0)
            })
        });
        work.await
    }

    async fn admission(&self, slot: &SlotRef) -> Result<Option<Admission>, StoreError> {
        let work = self.store.read("reading an admission", slot, |connection, slot| {
            Box::pin(async move {
                let sql = "SELECT * FROM admissions WHERE queue_id = $1 AND number = $2";
                let found = sqlx::query(sql)
                    .bind(slot.queue.as_str())
                    .bind(signed(slot.number))
                    .try_map(|row: PgRow| Ok(ledger_sql::admission(&row)?))
                    .fetch_optional(connection);
                Ok(found.await?)
            })
        });
        work.await
    }

    async fn admissions(&self, queue: &QueueId) -> Result<Vec<Admission>, StoreError> {
        let work = self.store.read("reading a queue's admissions", queue, |connection, queue| {
            Box::pin(async move {
                let sql = "SELECT * FROM admissions WHERE queue_id = $1 ORDER BY number";
                let all = sqlx::query(sql)
                    .bind(queue.as_str())
                    .try_map(|row: PgRow| Ok(ledger_sql::admission(&row)?))
                    .fetch_all(connection);
                Ok(all.await?)
            })
        });
        work.await
    }
}
