//! The statements on `gateway.db`, and the one decision about a refund.
use ledger::{BookingId, Currency, Cursor, Money, Page, RefundId, Timestamp};
use ledger_sqlite::{Connection, Error, Record, RowError, parsed, time};
use payment_worker::gateway::{ChargeRecord, RefundRecord, RefundRequest};

/// Writes the charge unless its key has one. Returns what is on record, and whether it is new.
pub(super) fn charge(
    connection: &Connection,
    charge: &ChargeRecord,
) -> Result<(ChargeRecord, bool), Error> {
    let inserted = connection.execute(
        "INSERT INTO charges (id, booking_id, amount_minor, currency, decline_code, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        (
            &charge.id,
            charge.booking.as_str(),
            charge.amount.minor,
            charge.amount.currency.as_str(),
            &charge.decline_code,
            charge.received_at.millis(),
        ),
    )?;
    let stored = find(connection, &charge.booking)?.ok_or(Error::QueryReturnedNoRows)?;
    Ok((stored, inserted > 0))
}

/// What came of a refund request.
pub(super) enum Refunding {
    Done { fresh: bool },
    Refused(&'static str),
}

/// Writes the refund unless its key has one, or it asks for what cannot be given.
pub(super) fn refund(
    connection: &Connection,
    id: &str,
    request: &RefundRequest,
    received_at: Timestamp,
) -> Result<Refunding, Error> {
    if let Some(same) = refunded_before(connection, request)? {
        let done = Refunding::Done { fresh: false };
        return Ok(if same { done } else { Refunding::Refused("idempotency_mismatch") });
    }
    let charge = charge_by_id(connection, &request.charge_id)?;
    let given = connection.number(
        "SELECT coalesce(sum(amount_minor), 0) FROM refunds WHERE charge_id = ?1",
        [&request.charge_id],
    )?;
    if let Err(code) = may_refund(charge.as_ref(), given, request) {
        return Ok(Refunding::Refused(code));
    }
    connection.execute(
        "INSERT INTO refunds
             (id, refund_id, charge_id, booking_id, amount_minor, currency, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            id,
            request.key.as_str(),
            &request.charge_id,
            request.booking.as_str(),
            request.amount.minor,
            request.amount.currency.as_str(),
            received_at.millis(),
        ),
    )?;
    Ok(Refunding::Done { fresh: true })
}

/// Whether the key's refund is the one that is asked for now; `None` when it has none.
fn refunded_before(
    connection: &Connection,
    request: &RefundRequest,
) -> Result<Option<bool>, Error> {
    let sql = "SELECT * FROM refunds WHERE refund_id = ?1";
    let before = connection.optional(sql, [request.key.as_str()], refund_record)?;
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

pub(super) fn find(
    connection: &Connection,
    booking: &BookingId,
) -> Result<Option<ChargeRecord>, Error> {
    let sql = "SELECT * FROM charges WHERE booking_id = ?1";
    connection.optional(sql, [booking.as_str()], charge_record)
}

pub(super) fn charge_by_id(
    connection: &Connection,
    id: &str,
) -> Result<Option<ChargeRecord>, Error> {
    connection.optional("SELECT * FROM charges WHERE id = ?1", [id], charge_record)
}

/// `None` for a cursor after a charge that is not there.
pub(super) fn charges(
    connection: &Connection,
    cursor: &Cursor,
) -> Result<Option<Page<ChargeRecord>>, Error> {
    let place = "SELECT seq FROM charges WHERE id = ?1";
    let Some(after) = place_of(connection, place, cursor)? else { return Ok(None) };
    let rows = connection.all(
        "SELECT * FROM charges WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        (after, i64::from(cursor.limit) + 1),
        charge_record,
    )?;
    Ok(Some(Page::cut(rows, cursor.limit, |charge: &ChargeRecord| charge.id.clone())))
}

/// `None` for a cursor after a refund that is not there.
pub(super) fn refunds(
    connection: &Connection,
    cursor: &Cursor,
) -> Result<Option<Page<RefundRecord>>, Error> {
    let place = "SELECT seq FROM refunds WHERE id = ?1";
    let Some(after) = place_of(connection, place, cursor)? else { return Ok(None) };
    let rows = connection.all(
        "SELECT * FROM refunds WHERE seq > ?1 ORDER BY seq LIMIT ?2",
        (after, i64::from(cursor.limit) + 1),
        refund_record,
    )?;
    Ok(Some(Page::cut(rows, cursor.limit, |refund: &RefundRecord| refund.id.clone())))
}

/// Where the row that a cursor names stands, by `sql`; 0 for one at the beginning.
fn place_of(connection: &Connection, sql: &str, cursor: &Cursor) -> Result<Option<i64>, Error> {
    match &cursor.after {
        None => Ok(Some(0)),
        Some(id) => connection.optional(sql, [id], |row| row.integer("seq")),
    }
}

fn charge_record(row: &dyn Record) -> Result<ChargeRecord, RowError> {
    Ok(ChargeRecord {
        id: row.text("id")?.to_owned(),
        booking: parsed(row, "booking_id", BookingId::parse)?,
        amount: amount(row)?,
        decline_code: row.text_maybe("decline_code")?.map(str::to_owned),
        received_at: time(row, "received_at")?,
    })
}

fn refund_record(row: &dyn Record) -> Result<RefundRecord, RowError> {
    Ok(RefundRecord {
        id: row.text("id")?.to_owned(),
        key: parsed(row, "refund_id", RefundId::parse)?,
        booking: parsed(row, "booking_id", BookingId::parse)?,
        charge_id: row.text("charge_id")?.to_owned(),
        amount: amount(row)?,
        received_at: time(row, "received_at")?,
    })
}

fn amount(row: &dyn Record) -> Result<Money, RowError> {
    let currency = parsed(row, "currency", Currency::parse)?;
    Ok(Money::new(row.integer("amount_minor")?, currency))
}
