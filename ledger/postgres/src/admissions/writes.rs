//! What changes a queue's record, each behind the generation that it was decided under.
use super::super::fault::Fault;
use ledger::books::{Admitted, Leased, QueueStep, Raised, StepCommitted};
use ledger::{Admission, QueueId, Timestamp};
use ledger_sql::{count, signed};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use std::collections::{HashMap, HashSet};

/// Waits for those who hold the old generation, and then is the one who raised it or is not.
pub(super) async fn raise(
    connection: &mut PgConnection,
    queue: &QueueId,
    from: u64,
) -> Result<Option<Raised>, Fault> {
    let raised = sqlx::query(
        "UPDATE queue_generations SET generation = generation + 1
         WHERE queue_id = $1 AND generation = $2 RETURNING generation",
    )
    .bind(queue.as_str())
    .bind(signed(from))
    .try_map(|row: PgRow| Ok(count(&row, "generation")?))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(generation) = raised {
        return Ok(Some(Raised::Won(generation)));
    }
    let current = sqlx::query("SELECT generation FROM queue_generations WHERE queue_id = $1")
        .bind(queue.as_str())
        .try_map(|row: PgRow| Ok(count(&row, "generation")?))
        .fetch_optional(connection);
    Ok(current.await?.map(Raised::Lost))
}

pub(super) async fn lease(
    connection: &mut PgConnection,
    queue: &QueueId,
    generation: u64,
    numbers: u64,
) -> Result<Leased, Fault> {
    if !is_current(connection, queue, generation).await? {
        return Ok(Leased::Stale);
    }
    let leased = sqlx::query(
        "UPDATE queue_leases SET lease_start = leased_to + 1, leased_to = leased_to + $2
         WHERE queue_id = $1 RETURNING lease_start, leased_to",
    )
    .bind(queue.as_str())
    .bind(signed(numbers))
    .try_map(|row: PgRow| {
        let (first, last) = (count(&row, "lease_start")?, count(&row, "leased_to")?);
        Ok(Leased::Numbers { first, last })
    })
    .fetch_one(connection);
    Ok(leased.await?)
}

pub(super) async fn step(
    connection: &mut PgConnection,
    queue: &QueueId,
    generation: u64,
    step: QueueStep,
) -> Result<StepCommitted, Fault> {
    if !is_current(connection, queue, generation).await? {
        return Ok(StepCommitted::Stale);
    }
    let greater = sqlx::query(
        "UPDATE queue_serving SET now_serving = $2 WHERE queue_id = $1 AND now_serving < $2",
    )
    .bind(queue.as_str())
    .bind(signed(step.now_serving))
    .execute(&mut *connection)
    .await?;
    if greater.rows_affected() == 0 {
        let greatest = sqlx::query("SELECT now_serving FROM queue_serving WHERE queue_id = $1")
            .bind(queue.as_str())
            .try_map(|row: PgRow| Ok(count(&row, "now_serving")?))
            .fetch_one(connection);
        return Ok(StepCommitted::Greatest(greatest.await?));
    }
    sqlx::query(
        "INSERT INTO queue_steps (queue_id, now_serving, at, granting_millis)
         VALUES ($1, $2, $3, $4)",
    )
    .bind(queue.as_str())
    .bind(signed(step.now_serving))
    .bind(step.at.millis())
    .bind(step.granting_millis)
    .execute(connection)
    .await?;
    Ok(StepCommitted::Greatest(step.now_serving))
}

pub(super) async fn admit(
    connection: &mut PgConnection,
    queue: &QueueId,
    generation: u64,
    rows: &[Admission],
) -> Result<Vec<Admitted>, Fault> {
    if !is_current(connection, queue, generation).await? {
        return Ok(vec![Admitted::Stale; rows.len()]);
    }
    // By number, so that two batches of the same numbers wait for each other in one direction
    // only; of a number that stands here twice the first gets it.
    let mut sorted: Vec<&Admission> = rows.iter().collect();
    sorted.sort_by_key(|row| row.slot.number);
    let new = insert(connection, queue, &sorted).await?;
    let mut new: HashSet<u64> = new.into_iter().collect();
    let mut answers: Vec<Option<Admitted>> = Vec::with_capacity(rows.len());
    for row in rows {
        answers.push(new.remove(&row.slot.number).then_some(Admitted::Done));
    }
    if answers.iter().all(Option::is_some) {
        return Ok(answers.into_iter().flatten().collect());
    }
    let existing = existing(connection, queue, rows).await?;
    let exists = |row: &Admission| existing.get(&row.slot.number).cloned().map(Admitted::Exists);
    let answers = rows.iter().zip(answers).map(|(row, answer)| answer.or_else(|| exists(row)));
    // Rows are never removed, so what stood in the way is there.
    answers.collect::<Option<Vec<_>>>().ok_or(Fault::Contended)
}

/// Adds the rows whose numbers are free, and returns those numbers.
async fn insert(
    connection: &mut PgConnection,
    queue: &QueueId,
    rows: &[&Admission],
) -> Result<Vec<u64>, Fault> {
    let new = sqlx::query(
        "INSERT INTO admissions (queue_id, number, account_id, at, until, ended_at, source)
         SELECT $1, number, account_id, at, until, ended_at, source
         FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                 $7::text[])
             WITH ORDINALITY AS t (number, account_id, at, until, ended_at, source, ordinal)
         ORDER BY ordinal ON CONFLICT (queue_id, number) DO NOTHING RETURNING number",
    )
    .bind(queue.as_str())
    .bind(rows.iter().map(|row| signed(row.slot.number)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.account.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.at.millis()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.until.millis()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.ended_at.map(Timestamp::millis)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.source.as_str()).collect::<Vec<_>>())
    .try_map(|row: PgRow| Ok(count(&row, "number")?))
    .fetch_all(connection);
    Ok(new.await?)
}

async fn existing(
    connection: &mut PgConnection,
    queue: &QueueId,
    rows: &[Admission],
) -> Result<HashMap<u64, Admission>, Fault> {
    let found = sqlx::query("SELECT * FROM admissions WHERE queue_id = $1 AND number = ANY($2)")
        .bind(queue.as_str())
        .bind(rows.iter().map(|row| signed(row.slot.number)).collect::<Vec<_>>())
        .try_map(|row: PgRow| Ok(ledger_sql::admission(&row)?))
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(|row| (row.slot.number, row)).collect())
}

/// True when `generation` is the current one, which it then stays until the transaction ends.
async fn is_current(
    connection: &mut PgConnection,
    queue: &QueueId,
    generation: u64,
) -> Result<bool, Fault> {
    let found = sqlx::query(
        "SELECT 1 FROM queue_generations WHERE queue_id = $1 AND generation = $2 FOR SHARE",
    )
    .bind(queue.as_str())
    .bind(signed(generation))
    .fetch_optional(connection);
    Ok(found.await?.is_some())
}
