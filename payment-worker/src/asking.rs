//! Asking the gateway about one purchase, and reading its answer as the ledger's words.
use crate::Config;
use crate::error::warn_of;
use crate::gateway::{
    ChargeAnswer, ChargeRequest, GatewayError, PaymentGateway, RefundAnswer, RefundRequest,
};
use crate::metrics::{self, Answered};
use ledger::booking_trace::BookingStep;
use ledger::books::Refunded;
use ledger::purchase::{ChargeResult, Purchase};
use ledger::{BookingId, Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Asks in bounded time. Whatever goes wrong, the answer is unknown and asked for again later.
#[derive(Clone)]
pub(crate) struct Asker {
    gateway: Arc<dyn PaymentGateway>,
    clock: Clock,
    timeout: Duration,
    key_window_seconds: u32,
}

impl Asker {
    pub(crate) fn new(gateway: Arc<dyn PaymentGateway>, clock: Clock, config: &Config) -> Self {
        Self {
            gateway,
            clock,
            timeout: Duration::from_millis(config.charge_timeout_ms),
            key_window_seconds: config.gateway_key_window_seconds,
        }
    }

    /// The gateway's answer to the charge of a purchase whose attempt is committed. Where there is
    /// nothing to pay it is not asked: it could decline, or refuse the amount.
    pub(crate) async fn charge(&self, purchase: &Purchase) -> ChargeResult {
        if let Some(free) = purchase.free_answer() {
            return free;
        }
        let started = Instant::now();
        let answer = timeout(self.timeout, self.charge_or_look_up(purchase)).await;
        let id = &purchase.command.booking_id;
        let result = match answer {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => {
                tracing::info!(booking.id = %id, "the answer to a charge is unknown");
                warn_of(&error, "asking the gateway failed");
                ChargeResult::Unknown
            }
            Err(_) => {
                tracing::warn!(booking.id = %id, "the gateway took too long to answer a charge");
                ChargeResult::Unknown
            }
        };
        let answered = match &result {
            ChargeResult::Captured { .. } => Answered::Captured,
            ChargeResult::Declined { .. } => Answered::Declined,
            ChargeResult::Unknown => Answered::Unknown,
        };
        metrics::charge(answered, started.elapsed());
        BookingStep::Charge.done();
        result
    }

    async fn charge_or_look_up(&self, purchase: &Purchase) -> Result<ChargeResult, GatewayError> {
        let command = &purchase.command;
        if !key_is_remembered(purchase.submitted_at, self.clock.now(), self.key_window_seconds) {
            return self.look_up(&command.booking_id).await;
        }
        let request = ChargeRequest {
            key: command.booking_id.clone(),
            amount: command.total,
            payment_token: command.payment_token.clone(),
        };
        match self.gateway.charge(&request).await? {
            // The gateway has another charge of this booking; what it has is what counts.
            ChargeAnswer::KeyReused => self.look_up(&command.booking_id).await,
            answer => Ok(result_of(answer)),
        }
    }

    /// What the gateway has on record. Nothing is never final: a request may be on its way still.
    async fn look_up(&self, booking: &BookingId) -> Result<ChargeResult, GatewayError> {
        let found = self.gateway.find(booking).await?;
        Ok(found.map_or(ChargeResult::Unknown, |record| result_of(record.answer())))
    }

    /// Sends the purchase's pending refund. `None`: not done yet, or nobody knows.
    pub(crate) async fn refund(&self, purchase: &Purchase) -> Option<Refunded> {
        let id = &purchase.command.booking_id;
        let refund = purchase.pending_refund()?;
        let Some(charge_id) = &purchase.charge_id else {
            tracing::error!(booking.id = %id, "a refund is due for a booking without a charge");
            return None;
        };
        let request = RefundRequest {
            key: refund.refund_id.clone(),
            booking: id.clone(),
            charge_id: charge_id.clone(),
            amount: refund.amount,
        };
        match timeout(self.timeout, self.gateway.refund(&request)).await {
            Ok(Ok(RefundAnswer::Done)) => {
                metrics::refund(Answered::Done);
                return Some(Refunded { booking_id: id.clone(), refund_id: request.key });
            }
            Ok(Ok(RefundAnswer::Refused { code })) => {
                metrics::refund(Answered::Refused);
                tracing::error!(booking.id = %id, code, "the gateway refuses a refund");
            }
            Ok(Err(error)) => {
                metrics::refund(Answered::Unknown);
                warn_of(&error, "asking the gateway for a refund failed");
            }
            Err(_) => {
                metrics::refund(Answered::Unknown);
                tracing::warn!(booking.id = %id, "the gateway took too long to answer a refund");
            }
        }
        None
    }
}

fn result_of(answer: ChargeAnswer) -> ChargeResult {
    match answer {
        ChargeAnswer::Captured { charge_id, amount } => {
            ChargeResult::Captured { charge_id, amount }
        }
        ChargeAnswer::Declined { code } => ChargeResult::Declined { code },
        ChargeAnswer::KeyReused => ChargeResult::Unknown,
    }
}

/// While the gateway remembers the key, the identical charge may be sent again; later
/// that could charge twice.
fn key_is_remembered(submitted: Option<Timestamp>, now: Timestamp, window_seconds: u32) -> bool {
    submitted.is_some_and(|submitted| now < submitted.plus_seconds(window_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_forgotten_at_the_end_of_the_window() {
        let check = |submitted: Option<i64>, now, expected| {
            let submitted = submitted.map(Timestamp::from_millis);
            let got = key_is_remembered(submitted, Timestamp::from_millis(now), 10);
            assert_eq!(got, expected, "{submitted:?} at {now}");
        };
        check(Some(1_000), 1_000, true);
        check(Some(1_000), 10_999, true);
        check(Some(1_000), 11_000, false);
        check(None, 0, false);
    }
}
