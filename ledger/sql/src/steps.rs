//! A batch of steps of bookings that are open, as both databases take it.
//!
//! A database reads and locks the purchases, [`Steps::take`] decides, and the database writes what
//! came of it, all in one transaction.
use ledger::books::{Refunded, Settlement};
use ledger::purchase::{Purchase, SettlementBatch};
use ledger::{BookingId, BookingOutcome, CancelBooking, Timestamp, Unbalanced, metrics};
use std::collections::HashSet;

/// Steps of one kind.
pub enum Steps {
    Settle(Vec<Settlement>),
    Cancel(Vec<CancelBooking>),
    Refunded(Vec<Refunded>),
}

/// What a batch came to.
pub struct StepsTaken {
    /// What is to be written.
    pub batch: SettlementBatch,
    /// What to publish; of cancels also what is not new.
    pub publish: Vec<BookingOutcome>,
}

impl Steps {
    pub fn doing(&self) -> &'static str {
        match self {
            Self::Settle(_) => "settling bookings",
            Self::Cancel(_) => "cancelling bookings",
            Self::Refunded(_) => "recording refunds",
        }
    }

    /// The bookings that move; the database reads their purchases under a lock.
    pub fn bookings(&self) -> Vec<&BookingId> {
        match self {
            Self::Settle(batch) => batch.iter().map(|step| &step.booking_id).collect(),
            Self::Cancel(batch) => batch.iter().map(|step| &step.booking_id).collect(),
            Self::Refunded(batch) => batch.iter().map(|step| &step.booking_id).collect(),
        }
    }

    /// True when it matters which tickets of the bookings were used at the gate.
    pub fn needs_used_tickets(&self) -> bool {
        matches!(self, Self::Cancel(_))
    }

    /// Decides over the purchases that were `found`. `used` are bookings with a used ticket.
    pub fn take(
        &self,
        found: Vec<(Purchase, Option<Timestamp>)>,
        used: &HashSet<String>,
        now: Timestamp,
    ) -> Result<StepsTaken, Unbalanced> {
        let mut batch = SettlementBatch::open(found);
        let publish = match self {
            Self::Settle(steps) => {
                batch.settle(steps, now)?;
                batch.new_outcomes()
            }
            Self::Cancel(steps) => batch.cancel(steps, used, now)?,
            Self::Refunded(steps) => {
                batch.refunded(steps, now)?;
                batch.new_outcomes()
            }
        };
        Ok(StepsTaken { batch, publish })
    }
}

/// Counts outcomes that are committed and new.
pub fn count_outcomes(news: &[BookingOutcome]) {
    news.iter().for_each(|outcome| metrics::outcome(outcome.booking.status));
}
