//! The seam to whoever moves the money: charges and refunds under idempotency keys, and its log.
mod http;
pub mod wire;

pub use http::{HttpGateway, InvalidAddress};

use async_trait::async_trait;
use ledger::{BookingId, Cursor, Money, Page, PaymentToken, RefundId, Source, Timestamp};

/// Asks for money. Sent again with the same key it must be the identical request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeRequest {
    /// The idempotency key, and what the gateway can be asked for later.
    pub key: BookingId,
    pub amount: Money,
    pub payment_token: PaymentToken,
}

/// What the gateway says to a charge. All but `KeyReused` are final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeAnswer {
    Captured {
        charge_id: String,
        amount: Money,
    },
    Declined {
        code: String,
    },
    /// Another amount was asked for under this key before; nothing was done now.
    KeyReused,
}

/// Sends money back, in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRequest {
    /// The idempotency key.
    pub key: RefundId,
    pub booking: BookingId,
    /// The gateway's own id of the charge.
    pub charge_id: String,
    pub amount: Money,
}

/// What the gateway says to a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAnswer {
    Done,
    /// Nothing was done: no such charge, more than was captured, or another refund of this key.
    Refused {
        code: String,
    },
}

/// A charge as the gateway's own log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChargeRecord {
    pub id: String,
    pub booking: BookingId,
    pub amount: Money,
    /// `None`: captured.
    pub decline_code: Option<String>,
    pub received_at: Timestamp,
}

/// A refund as the gateway's own log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRecord {
    pub id: String,
    pub key: RefundId,
    pub booking: BookingId,
    pub charge_id: String,
    pub amount: Money,
    pub received_at: Timestamp,
}

/// The gateway gave no answer that counts: whatever was asked may have been done.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("{doing}: the gateway did not answer")]
    NoAnswer { doing: &'static str, source: Source },
    /// It answered, but neither yes nor no: overloaded, misconfigured, or not our gateway.
    #[error("{doing}: the gateway answered {status} {code}")]
    Unexpected { doing: &'static str, status: u16, code: String },
    #[error("{doing}: the gateway's answer cannot be read")]
    Unreadable { doing: &'static str, source: Source },
}

impl GatewayError {
    pub fn no_answer(doing: &'static str, source: impl Into<Source>) -> Self {
        Self::NoAnswer { doing, source: source.into() }
    }

    /// Always: every request is a look-up or carries a key.
    pub fn is_retryable(&self) -> bool {
        true
    }
}

/// A payment gateway. Expected answers are values; `Err` and a timeout both mean that the effect
/// may have happened, and that asking again with the same key is safe.
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeAnswer, GatewayError>;

    async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, GatewayError>;

    /// The booking's charge. `None` is never final: a request may still be on its way.
    async fn find(&self, booking: &BookingId) -> Result<Option<ChargeRecord>, GatewayError>;

    /// The gateway's log of charges, oldest first.
    async fn charges(&self, cursor: Cursor) -> Result<Page<ChargeRecord>, GatewayError>;

    /// The gateway's log of refunds, oldest first.
    async fn refunds(&self, cursor: Cursor) -> Result<Page<RefundRecord>, GatewayError>;
}

impl ChargeRecord {
    /// What a charge request is told once this is on record.
    pub fn answer(&self) -> ChargeAnswer {
        match &self.decline_code {
            Some(code) => ChargeAnswer::Declined { code: code.clone() },
            None => ChargeAnswer::Captured { charge_id: self.id.clone(), amount: self.amount },
        }
    }
}
