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

/// A balanced movement of money. The constructors are the only way to make one, and a record that
/// was read becomes one only if it balances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    cause: String,
    kind: TransferKind,
    legs: Vec<Leg>,
    at: Timestamp,
}

/// A transfer as its rows tell it, balanced or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferRecord {
    /// The booking or refund that caused it.
    pub cause: String,
    pub kind: TransferKind,
    pub legs: Vec<Leg>,
    pub at: Timestamp,
    /// Its legs are there, its own row is not.
    pub headless: bool,
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
    /// The booking or refund that caused it.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    pub fn kind(&self) -> TransferKind {
        self.kind
    }

    /// Two or more, which sum to zero.
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    pub fn at(&self) -> Timestamp {
        self.at
    }

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
        Self::balanced(booking.to_string(), TransferKind::Capture, legs, at)
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
        Self::balanced(refund.to_string(), TransferKind::Refund, legs, at)
    }

    fn balanced(
        cause: String,
        kind: TransferKind,
        legs: Vec<Leg>,
        at: Timestamp,
    ) -> Result<Self, Unbalanced> {
        if legs.len() < 2 || !legs_balance(&legs) {
            return Err(Unbalanced);
        }
        Ok(Self { cause, kind, legs, at })
    }
}

impl TryFrom<TransferRecord> for Transfer {
    type Error = Unbalanced;

    /// Checks what was read: a record without a row of its own, with one leg or with legs that do
    /// not sum to zero is no transfer.
    fn try_from(record: TransferRecord) -> Result<Self, Unbalanced> {
        let TransferRecord { cause, kind, legs, at, headless } = record;
        if headless { Err(Unbalanced) } else { Self::balanced(cause, kind, legs, at) }
    }
}

impl From<Transfer> for TransferRecord {
    fn from(transfer: Transfer) -> Self {
        let Transfer { cause, kind, legs, at } = transfer;
        Self { cause, kind, legs, at, headless: false }
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
    fn a_record_becomes_a_transfer_only_if_it_balances() {
        let booking = BookingId::parse("bkg_1").unwrap();
        let event = EventId::parse("evt_1").unwrap();
        let at = Timestamp::from_millis(1);
        let amount = Money::new(9_000, Currency::EUR);
        let capture = Transfer::capture(&booking, &event, amount, at).unwrap();
        let record = TransferRecord::from(capture.clone());
        assert_eq!(Transfer::try_from(record.clone()), Ok(capture));
        let spoiled: [fn(&mut TransferRecord); 4] = [
            |record| drop(record.legs.pop()),
            |record| record.legs.clear(),
            |record| record.legs[0].amount.minor += 1,
            |record| record.headless = true,
        ];
        for spoil in spoiled {
            let mut record = record.clone();
            spoil(&mut record);
            assert_eq!(Transfer::try_from(record.clone()), Err(Unbalanced), "{record:?}");
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
