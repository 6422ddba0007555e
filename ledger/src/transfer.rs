//! Double entry: a transfer is a set of legs that sum to zero, written once and never changed.
use crate::clock::Timestamp;
use crate::ids::{BookingId, EventId, RefundId};
use crate::money::{Currency, Money};

/// Why money moved. Unique together with the cause's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferKind {
    /// The gateway captured a charge.
    Capture,
    /// The gateway paid it back.
    Refund,
}

impl TransferKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
        }
    }
}

/// One account's part of a transfer: positive is debit, negative is credit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// A string code, so that fees and tax are only more legs: `gateway:clearing`.
    pub account: String,
    pub amount: Money,
}

/// A balanced movement of money. The constructors are the only way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The booking or refund that caused it.
    pub cause: String,
    pub kind: TransferKind,
    pub legs: Vec<Leg>,
    pub at: Timestamp,
}

/// Money that the gateway holds for us.
pub const GATEWAY_CLEARING: &str = "gateway:clearing";

/// What an event has earned.
pub fn sales_account(event: &EventId) -> String {
    format!("event:{event}:sales")
}

/// Legs that do not sum to zero in every currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the legs of the transfer do not sum to zero")]
pub struct Unbalanced;

impl Transfer {
    /// A captured charge: the gateway owes us, the event has earned.
    pub fn capture(
        booking: &BookingId,
        event: &EventId,
        amount: Money,
        at: Timestamp,
    ) -> Result<Self, Unbalanced> {
        let credit = amount.checked_neg().ok_or(Unbalanced)?;
        let legs = vec![
            Leg { account: GATEWAY_CLEARING.into(), amount },
            Leg { account: sales_account(event), amount: credit },
        ];
        Self::balanced(booking.as_str(), TransferKind::Capture, legs, at)
    }

    /// A refund: the reverse of a capture, in whole or in part.
    pub fn refund(
        refund: &RefundId,
        event: &EventId,
        amount: Money,
        at: Timestamp,
    ) -> Result<Self, Unbalanced> {
        let credit = amount.checked_neg().ok_or(Unbalanced)?;
        let legs = vec![
            Leg { account: sales_account(event), amount },
            Leg { account: GATEWAY_CLEARING.into(), amount: credit },
        ];
        Self::balanced(refund.as_str(), TransferKind::Refund, legs, at)
    }

    fn balanced(
        cause: &str,
        kind: TransferKind,
        legs: Vec<Leg>,
        at: Timestamp,
    ) -> Result<Self, Unbalanced> {
        if !legs_balance(&legs) {
            return Err(Unbalanced);
        }
        Ok(Self { cause: cause.to_owned(), kind, legs, at })
    }
}

/// True when the legs sum to zero in every currency they name.
pub fn legs_balance(legs: &[Leg]) -> bool {
    let mut currencies: Vec<Currency> = legs.iter().map(|leg| leg.amount.currency).collect();
    currencies.sort();
    currencies.dedup();
    currencies.into_iter().all(|currency| {
        let amounts = legs.iter().map(|leg| leg.amount).filter(|a| a.currency == currency);
        Money::sum(currency, amounts).is_some_and(|sum| sum.minor == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_and_refunds_cancel_out() {
        let booking = BookingId::parse("bkg_1").unwrap();
        let event = EventId::parse("evt_1").unwrap();
        let amount = Money::new(9_000, Currency::EUR);
        let at = Timestamp::from_millis(1);
        let capture = Transfer::capture(&booking, &event, amount, at).unwrap();
        let refund = Transfer::refund(&RefundId::of(&booking, 1), &event, amount, at).unwrap();
        let all: Vec<Leg> = capture.legs.iter().chain(&refund.legs).cloned().collect();
        for code in [GATEWAY_CLEARING.to_owned(), sales_account(&event)] {
            let of_account = all.iter().filter(|leg| leg.account == code).map(|leg| leg.amount);
            assert_eq!(Money::sum(Currency::EUR, of_account).unwrap().minor, 0);
        }
    }

    #[test]
    fn what_cannot_balance_is_refused() {
        let booking = BookingId::parse("bkg_1").unwrap();
        let event = EventId::parse("evt_1").unwrap();
        let amount = Money::new(i64::MIN, Currency::EUR);
        let made = Transfer::capture(&booking, &event, amount, Timestamp::default());
        assert_eq!(made, Err(Unbalanced));
    }
}
