//! The gateway's JSON, Stripe-shaped: what the server writes and the client reads.
use super::{ChargeRecord, RefundRecord};
use ledger::{BookingId, Currency, Money, RefundId, Timestamp};
use serde::{Deserialize, Serialize};

/// The header that names a request's effect.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The problem code of a key that was used for another request.
pub const KEY_REUSED: &str = "idempotency_mismatch";
/// Rows a list has when the request does not say, and the most it may ask for.
pub const LIST_LIMIT_DEFAULT: u32 = 50;
pub const LIST_LIMIT_MAX: u32 = 1_000;

/// The body of `POST /v1/charges`. No `Debug`: it carries the payment token.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCharge {
    pub amount: i64,
    pub currency: Currency,
    pub source: String,
}

/// The body of `POST /v1/refunds`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRefund {
    pub charge: String,
    pub booking_id: BookingId,
    pub amount: i64,
    pub currency: Currency,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Succeeded,
    Failed,
}

#[derive(Serialize, Deserialize)]
pub struct Charge {
    pub id: String,
    pub object: String,
    pub booking_id: BookingId,
    pub amount: i64,
    pub currency: Currency,
    pub status: Status,
    pub failure_code: Option<String>,
    /// When the request reached the gateway.
    pub received_at_ms: Timestamp,
}

#[derive(Serialize, Deserialize)]
pub struct Refund {
    pub id: String,
    pub object: String,
    pub refund_id: RefundId,
    pub booking_id: BookingId,
    pub charge: String,
    pub amount: i64,
    pub currency: Currency,
    pub received_at_ms: Timestamp,
}

#[derive(Serialize, Deserialize)]
pub struct List<T> {
    pub object: String,
    pub data: Vec<T>,
    pub has_more: bool,
}

/// An RFC 9457 problem. A declined charge is one too, as with Stripe, and says why.
#[derive(Serialize, Deserialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub code: String,
    pub detail: String,
}

impl From<ChargeRecord> for Charge {
    fn from(record: ChargeRecord) -> Self {
        let captured = record.decline_code.is_none();
        Self {
            id: record.id,
            object: "charge".into(),
            booking_id: record.booking,
            amount: record.amount.minor,
            currency: record.amount.currency,
            status: if captured { Status::Succeeded } else { Status::Failed },
            failure_code: record.decline_code,
            received_at_ms: record.received_at,
        }
    }
}

impl From<Charge> for ChargeRecord {
    fn from(charge: Charge) -> Self {
        let decline_code = match charge.status {
            Status::Succeeded => None,
            Status::Failed => Some(charge.failure_code.unwrap_or_else(|| "declined".into())),
        };
        Self {
            id: charge.id,
            booking: charge.booking_id,
            amount: Money::new(charge.amount, charge.currency),
            decline_code,
            received_at: charge.received_at_ms,
        }
    }
}

impl From<RefundRecord> for Refund {
    fn from(record: RefundRecord) -> Self {
        Self {
            id: record.id,
            object: "refund".into(),
            refund_id: record.key,
            booking_id: record.booking,
            charge: record.charge_id,
            amount: record.amount.minor,
            currency: record.amount.currency,
            received_at_ms: record.received_at,
        }
    }
}

impl From<Refund> for RefundRecord {
    fn from(refund: Refund) -> Self {
        Self {
            id: refund.id,
            key: refund.refund_id,
            booking: refund.booking_id,
            charge_id: refund.charge,
            amount: Money::new(refund.amount, refund.currency),
            received_at: refund.received_at_ms,
        }
    }
}
