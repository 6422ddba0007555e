//! The statements on `gateway.db`, and the one decision about a refund.
use ledger::{BookingId, Currency, Cursor, Money, Page, RefundId, Timestamp};
use payment_worker::gateway::{ChargeRecord, RefundRecord, RefundRequest};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

/// Writes the charge unless its key has one. Returns what is on record, and whether it is new.
pub(super) async fn charge(
    connection: &mut SqliteConnection,
    charge: &ChargeRecord,
) -> Result<(ChargeRecord, bool), sqlx::Error> {
    let inserted = sqlx::query(
        "INSERT INTO charges (id, booking_id, amount_minor, currency, decline_code, received_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
    )
    .bind(&charge.id)
    .bind(charge.booking.as_str())
    .bind(charge.amount.minor)
    .bind(charge.amount.currency.as_str())
    .bind(&charge.decline_code)
    .bind(charge.received_at.millis())
    .execute(&mut *connection)
    .await?;
    let stored = sqlx::query("SELECT * FROM charges WHERE booking_id = ?1")
        .bind(charge.booking.as_str())
        .try_map(|row| charge_record(&row))
        .fetch_one(connection)
        .await?;
    Ok((stored, inserted.rows_affected() > 0))
}

/// What came of a refund request.
pub(super) enum Refunding {
    Done { fresh: bool },
    Refused(&'static str),
}

/// Writes the refund unless its key has one, or it asks for what cannot be given.
pub(super) async fn refund(
    connection: &mut SqliteConnection,
    id: &str,
    request: &RefundRequest,
    received_at: Timestamp,
) -> Result<Refunding, sqlx::Error> {
    if let Some(same) = refunded_before(connection, request).await? {
        let done = Refunding::Done { fresh: false };
        return Ok(if same { done } else { Refunding::Refused("idempotency_mismatch") });
    }
    let charge: Option<ChargeRecord> = sqlx::query("SELECT * FROM charges WHERE id = ?1")
        .bind(&request.charge_id)
        .try_map(|row| charge_record(&row))
        .fetch_optional(&mut *connection)
        .await?;
    let given: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(amount_minor), 0) FROM refunds WHERE charge_id = ?1",
    )
    .bind(&request.charge_id)
    .fetch_one(&mut *connection)
    .await?;
    if let Err(code) = may_refund(charge.as_ref(), given, request) {
        return Ok(Refunding::Refused(code));
    }
    sqlx::query(
        "INSERT INTO refunds \
         (id, refund_id, charge_id, booking_id, amount_minor, currency, received_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(id)
    .bind(request.key.as_str())
    .bind(&request.charge_id)
    .bind(request.booking.as_str())
    .bind(request.amount.minor)
    .bind(request.amount.currency.as_str())
    .bind(received_at.millis())
    .execute(connection)
    .await?;
    Ok(Refunding::Done { fresh: true })
}

/// Whether the key's refund is the one that is asked for now; `None` when it has none.
async fn refunded_before(
    connection: &mut SqliteConnection,
    request: &RefundRequest,
) -> Result<Option<bool>, sqlx::Error> {
    let before: Option<RefundRecord> = sqlx::query("SELECT * FROM refunds WHERE refund_id = ?1")
        .bind(request.key.as_str())
        .try_map(|row| refund_record(&row))
        .fetch_optional(connection)
        .await?;
    let same = |before: RefundRecord| {
        before.amount == request.amount && before.charge_id == request.charge_id
    };
    Ok(before.map(same))
}

/// Whether a charge of which `given` was paid back already can pay this back too.
fn may_refund(
    charge: Option<&ChargeRecord>,
    given: i64,
    request: &RefundRequest,
) -> Result<(), &'static str> {
    let charge =
        charge.filter(|charge| charge.booking == request.booking).ok_or("no_such_charge")?;
    if charge.decline_code.is_some() {
        return Err("charge_declined");
    }
    let left = charge.amount.minor.saturating_sub(given);
    let fits = charge.amount.currency == request.amount.currency
        && (0..=left).contains(&request.amount.minor);
    if fits { Ok(()) } else { Err("amount_exceeds_charge") }
}

pub(super) async fn find(
    readers: &SqlitePool,
    booking: &BookingId,
) -> Result<Option<ChargeRecord>, sqlx::Error> {
    sqlx::query("SELECT * FROM charges WHERE booking_id = ?1")
        .bind(booking.as_str())
        .try_map(|row| charge_record(&row))
        .fetch_optional(readers)
        .await
}

pub(super) async fn charge_by_id(
    readers: &SqlitePool,
    id: &str,
) -> Result<Option<ChargeRecord>, sqlx::Error> {
    sqlx::query("SELECT * FROM charges WHERE id = ?1")
        .bind(id)
        .try_map(|row| charge_record(&row))
        .fetch_optional(readers)
        .await
}

pub(super) async fn charges(
    readers: &SqlitePool,
    cursor: Cursor,
) -> Result<Page<ChargeRecord>, sqlx::Error> {
    let after = match &cursor.after {
        None => 0,
        Some(id) => {
            sqlx::query_scalar("SELECT seq FROM charges WHERE id = ?1")
                .bind(id)
                .fetch_one(readers)
                .await?
        }
    };
    let rows = sqlx::query("SELECT * FROM charges WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .bind::<i64>(after)
        .bind(i64::from(cursor.limit) + 1)
        .try_map(|row| charge_record(&row))
        .fetch_all(readers)
        .await?;
    Ok(Page::cut(rows, cursor.limit, |charge: &ChargeRecord| charge.id.clone()))
}

pub(super) async fn refunds(
    readers: &SqlitePool,
    cursor: Cursor,
) -> Result<Page<RefundRecord>, sqlx::Error> {
    let after = match &cursor.after {
        None => 0,
        Some(id) => {
            sqlx::query_scalar("SELECT seq FROM refunds WHERE id = ?1")
                .bind(id)
                .fetch_one(readers)
                .await?
        }
    };
    let rows = sqlx::query("SELECT * FROM refunds WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .bind::<i64>(after)
        .bind(i64::from(cursor.limit) + 1)
        .try_map(|row| refund_record(&row))
        .fetch_all(readers)
        .await?;
    Ok(Page::cut(rows, cursor.limit, |refund: &RefundRecord| refund.id.clone()))
}

fn charge_record(row: &SqliteRow) -> Result<ChargeRecord, sqlx::Error> {
    Ok(ChargeRecord {
        id: row.try_get("id")?,
        booking: parsed(row, "booking_id", BookingId::parse)?,
        amount: amount(row)?,
        decline_code: row.try_get("decline_code")?,
        received_at: row.try_get("received_at").map(Timestamp::from_millis)?,
    })
}

fn refund_record(row: &SqliteRow) -> Result<RefundRecord, sqlx::Error> {
    Ok(RefundRecord {
        id: row.try_get("id")?,
        key: parsed(row, "refund_id", RefundId::parse)?,
        booking: parsed(row, "booking_id", BookingId::parse)?,
        charge_id: row.try_get("charge_id")?,
        amount: amount(row)?,
        received_at: row.try_get("received_at").map(Timestamp::from_millis)?,
    })
}

fn amount(row: &SqliteRow) -> Result<Money, sqlx::Error> {
    let currency = parsed(row, "currency", Currency::parse)?;
    Ok(Money::new(row.try_get("amount_minor")?, currency))
}

fn parsed<T, E: std::error::Error + Send + Sync + 'static>(
    row: &SqliteRow,
    column: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    parse(text).map_err(|source| sqlx::Error::ColumnDecode {
        index: column.into(),
        source: Box::new(source),
    })
}
