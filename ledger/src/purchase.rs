//! A booking as the books keep it, and the one function per step that moves it.
//!
//! Every `Books` backend reads a [`Purchase`], asks this module what happens next, and writes the
//! answer; so SQLite and Postgres cannot disagree about money.
#[cfg(test)]
mod tests;

mod claims_snapshot;
mod settlement_batch;

pub use claims_snapshot::{
    ClaimsSnapshot, Opened, PlaceKey, SeatsKey, may_claim, open_batch, seats_key,
};
pub use settlement_batch::SettlementBatch;

use crate::booking::{
    Booking, BookingOutcome, BookingStatus, BookingTicket, PlaceBooking, Refund, RefundStatus,
};
use crate::clock::Timestamp;
use crate::ids::{RefundId, TicketId};
use crate::money::Money;
use crate::transfer::{Transfer, Unbalanced};
use serde::{Deserialize, Serialize};

/// A purchase and when the gateway is to be asked next.
pub type Entry<'a> = (&'a Purchase, Option<Timestamp>);

/// What stands for the gateway's id of the charge where there was nothing to charge.
const FREE_CHARGE: &str = "free";

/// How far the charge has come. The attempt is committed before the gateway is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// No attempt was committed, so nothing can have been charged. Stored only of bookings that
    /// ended so: the transaction that opens one to be charged commits its attempt as well.
    NotAttempted,
    /// An attempt is committed; the gateway may or may not have heard of it.
    Submitted,
    /// The gateway was asked and gave no final answer.
    Unknown,
    Captured,
    Declined,
}

impl PaymentState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAttempted => "new",
            Self::Submitted => "submitted",
            Self::Unknown => "unknown",
            Self::Captured => "captured",
            Self::Declined => "declined",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::NotAttempted, Self::Submitted, Self::Unknown, Self::Captured, Self::Declined]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// The record of one booking: its whole command, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    pub command: PlaceBooking,
    pub payment: PaymentState,
    pub status: BookingStatus,
    pub failure_code: Option<String>,
    /// The gateway's own id of the charge.
    pub charge_id: Option<String>,
    pub cancel_requested: bool,
    pub tickets: Vec<BookingTicket>,
    pub refunds: Vec<Refund>,
    /// 1 while processing; each outcome adds one.
    pub version: u32,
    /// When the attempt was committed.
    pub submitted_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

/// A final or unknown answer of the gateway to one charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeResult {
    Captured {
        charge_id: String,
        amount: Money,
    },
    Declined {
        code: String,
    },
    /// No final answer; asked again later with the same key.
    Unknown,
}

/// Whether the record lets a booking have its places, all or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatAvailability {
    Available,
    /// Another booking has a live claim on one of them.
    Taken,
    /// The account would have more than it may.
    OverCap,
}

/// What opening a booking comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Claim the places and write this record: the attempt, committed before the charge.
    Submit(Purchase),
    /// An attempt was committed before and has no final answer.
    Resolve(Purchase),
    /// It ends here without a charge.
    Refuse(Step),
    /// It ended before.
    Over(Purchase),
}

/// What a step does to the seat claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimEffect {
    Keep,
    /// The claims become sales.
    Sell,
    Release,
}

/// A step of a purchase: the new record and everything to be written with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub purchase: Purchase,
    pub claims: ClaimEffect,
    pub transfer: Option<Transfer>,
    /// True when outsiders must hear of it: the row becomes unpublished again.
    pub publish: bool,
}

impl Purchase {
    /// A record just opened: nothing was attempted.
    pub fn opened(command: PlaceBooking, now: Timestamp) -> Self {
        Self {
            command,
            payment: PaymentState::NotAttempted,
            status: BookingStatus::Processing,
            failure_code: None,
            charge_id: None,
            cancel_requested: false,
            tickets: Vec::new(),
            refunds: Vec::new(),
            version: 1,
            submitted_at: None,
            updated_at: now,
        }
    }

    /// The attempt, committed before the gateway hears of it.
    #[must_use]
    pub fn submitted(mut self, now: Timestamp) -> Self {
        self.payment = PaymentState::Submitted;
        self.submitted_at = Some(now);
        self.updated_at = now;
        self
    }

    /// Ends a purchase that was never charged.
    pub fn refused(self, status: BookingStatus, code: &str, now: Timestamp) -> Step {
        let failure_code = Some(code.to_owned());
        let mut step = Step::quiet(Self { failure_code, ..self }, now);
        step.claims = ClaimEffect::Release;
        step.becomes(status)
    }

    /// True when there is nothing to pay: the gateway is never asked, and no money is booked.
    pub fn is_free(&self) -> bool {
        self.command.total.minor == 0
    }

    /// The answer to a charge that nobody has to be asked for: nothing was taken, as it should be.
    pub fn free_answer(&self) -> Option<ChargeResult> {
        let (charge_id, amount) = (FREE_CHARGE.to_owned(), self.command.total);
        self.is_free().then_some(ChargeResult::Captured { charge_id, amount })
    }

    /// True when the gateway has still to be asked for a final answer.
    pub fn awaits_gateway(&self) -> bool {
        matches!(self.payment, PaymentState::Submitted | PaymentState::Unknown)
    }

    pub fn outcome(&self) -> BookingOutcome {
        BookingOutcome { booking: self.booking(), slot: self.command.slot.clone() }
    }

    pub fn booking(&self) -> Booking {
        Booking {
            status: self.status,
            failure_code: self.failure_code.clone(),
            tickets: self.tickets.clone(),
            refunds: self.refunds.clone(),
            version: self.version,
            updated_at: self.updated_at,
            ..Booking::placed(&self.command)
        }
    }

    /// The refund that still has to reach the gateway.
    pub fn pending_refund(&self) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.status == RefundStatus::Pending)
    }
}

impl Step {
    fn quiet(purchase: Purchase, now: Timestamp) -> Self {
        let purchase = Purchase { updated_at: now, ..purchase };
        Self { purchase, claims: ClaimEffect::Keep, transfer: None, publish: false }
    }

    fn becomes(mut self, status: BookingStatus) -> Self {
        self.purchase.status = status;
        self.purchase.version = self.purchase.version.saturating_add(1);
        self.publish = true;
        self
    }
}

/// Opens a booking, or finds what became of it. `availability` is asked only when it matters.
pub fn open(
    known: Option<Purchase>,
    command: &PlaceBooking,
    now: Timestamp,
    availability: impl FnOnce() -> SeatAvailability,
) -> Opening {
    let purchase = match known {
        Some(purchase) if purchase.status != BookingStatus::Processing => {
            return Opening::Over(purchase);
        }
        Some(purchase) if purchase.awaits_gateway() => return Opening::Resolve(purchase),
        Some(purchase) => purchase,
        None => Purchase::opened(command.clone(), now),
    };
    let refuse = |status: BookingStatus| {
        Opening::Refuse(purchase.clone().refused(status, status.as_str(), now))
    };
    if now > command.deadline {
        return refuse(BookingStatus::Expired);
    }
    match availability() {
        SeatAvailability::Available => Opening::Submit(purchase.submitted(now)),
        SeatAvailability::Taken => refuse(BookingStatus::SeatLost),
        SeatAvailability::OverCap => refuse(BookingStatus::OverCap),
    }
}

/// Applies the gateway's answer. `None` when it changes nothing: a final answer was already
/// written, and the same key always gives the same one.
pub fn settle(
    purchase: Purchase,
    result: &ChargeResult,
    now: Timestamp,
) -> Result<Option<Step>, Unbalanced> {
    if !purchase.awaits_gateway() {
        return Ok(None);
    }
    match result {
        ChargeResult::Unknown if purchase.payment == PaymentState::Unknown => Ok(None),
        ChargeResult::Unknown => {
            let purchase = Purchase { payment: PaymentState::Unknown, ..purchase };
            Ok(Some(Step::quiet(purchase, now)))
        }
        ChargeResult::Declined { code } => Ok(Some(declined(purchase, code, now))),
        ChargeResult::Captured { charge_id, amount } => {
            captured(purchase, charge_id, *amount, now).map(Some)
        }
    }
}

fn declined(purchase: Purchase, code: &str, now: Timestamp) -> Step {
    let status =
        if purchase.cancel_requested { BookingStatus::Cancelled } else { BookingStatus::Declined };
    let payment = PaymentState::Declined;
    let failure_code = Some(code.to_owned());
    let mut step = Step::quiet(Purchase { payment, failure_code, ..purchase }, now);
    step.claims = ClaimEffect::Release;
    step.becomes(status)
}

fn captured(
    mut purchase: Purchase,
    charge_id: &str,
    amount: Money,
    now: Timestamp,
) -> Result<Step, Unbalanced> {
    purchase.payment = PaymentState::Captured;
    purchase.charge_id = Some(charge_id.to_owned());
    let command = &purchase.command;
    let moved = amount.minor != 0 || command.total.minor != 0;
    let transfer =
        moved.then(|| Transfer::capture(&command.booking_id, &command.event_id, amount, now));
    let transfer = transfer.transpose()?;
    // What the gateway made different from what was asked is refunded, not kept.
    let refusal = if amount != command.total {
        Some("amount_mismatch")
    } else if purchase.cancel_requested {
        Some("cancelled")
    } else {
        None
    };
    let mut step = Step::quiet(purchase, now);
    step.transfer = transfer;
    let Some(reason) = refusal else {
        step.claims = ClaimEffect::Sell;
        let command = &step.purchase.command;
        step.purchase.tickets = command
            .items
            .iter()
            .map(|item| BookingTicket {
                ticket_id: TicketId::of(&command.booking_id, &item.item, 1),
                item: item.item.clone(),
            })
            .collect();
        return Ok(step.becomes(BookingStatus::Confirmed));
    };
    Ok(owing(step, amount, reason))
}

/// The step of a purchase whose money has to go back, if it cost any.
fn owing(mut step: Step, amount: Money, reason: &str) -> Step {
    step.claims = ClaimEffect::Release;
    if step.purchase.is_free() && amount.minor == 0 {
        step.purchase.failure_code = Some(reason.to_owned());
        return step.becomes(BookingStatus::Cancelled);
    }
    let command = &step.purchase.command;
    let ordinal = u32::try_from(step.purchase.refunds.len()).unwrap_or(u32::MAX).saturating_add(1);
    let refund = Refund {
        refund_id: RefundId::of(&command.booking_id, ordinal),
        amount,
        items: command.items.iter().map(|item| item.item.clone()).collect(),
        reason: reason.to_owned(),
        status: RefundStatus::Pending,
    };
    step.purchase.refunds.push(refund);
    step.purchase.failure_code = Some(reason.to_owned());
    step.becomes(BookingStatus::RefundPending)
}

/// Applies a cancel. `None` when nothing changes: it is over already, the gateway must answer
/// first and a cancel is noted, or a ticket of it was `used`: the gate was faster.
pub fn cancel(purchase: Purchase, used: bool, now: Timestamp) -> Option<Step> {
    match purchase.status {
        BookingStatus::Processing => match purchase.payment {
            PaymentState::NotAttempted => {
                let purchase = Purchase { cancel_requested: true, ..purchase };
                Some(purchase.refused(BookingStatus::Cancelled, "cancelled", now))
            }
            PaymentState::Submitted | PaymentState::Unknown if !purchase.cancel_requested => {
                Some(Step::quiet(Purchase { cancel_requested: true, ..purchase }, now))
            }
            PaymentState::Submitted
            | PaymentState::Unknown
            | PaymentState::Captured
            | PaymentState::Declined => None,
        },
        BookingStatus::Confirmed if used => None,
        BookingStatus::Confirmed => {
            let amount = purchase.command.total;
            let purchase = Purchase { cancel_requested: true, ..purchase };
            Some(owing(Step::quiet(purchase, now), amount, "cancelled"))
        }
        BookingStatus::Declined
        | BookingStatus::SeatLost
        | BookingStatus::OverCap
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::RefundPending
        | BookingStatus::Refunded => None,
    }
}

/// Applies the gateway's word that a refund is done. `None` when it was done before.
pub fn refunded(
    mut purchase: Purchase,
    refund: &RefundId,
    now: Timestamp,
) -> Result<Option<Step>, Unbalanced> {
    let event = purchase.command.event_id.clone();
    let pending = purchase
        .refunds
        .iter_mut()
        .find(|r| r.refund_id == *refund && r.status == RefundStatus::Pending);
    let Some(pending) = pending else { return Ok(None) };
    pending.status = RefundStatus::Done;
    let transfer = Transfer::refund(refund, &event, pending.amount, now)?;
    let mut step = Step::quiet(purchase, now);
    step.transfer = Some(transfer);
    Ok(Some(step.becomes(BookingStatus::Refunded)))
}
