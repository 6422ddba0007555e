//! The life of a booking in the logs, from the lock to the ticket, whatever process a step is in.
//!
//! Every step is inside a span `booking` that names the hold and the booking, so one search for
//! either finds whatever was logged on the way. At `info` that is one line for each booking that
//! got its tickets, with the ages of the steps before it; `booking=debug` adds a line a step.
use crate::booking::{Booking, BookingStatus};
use crate::clock::Timestamp;
use crate::ids::{BookingId, EventId, HoldId};
use tracing::{Span, debug, info, info_span};

/// A step of a booking's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookingStep {
    /// Seats are set aside.
    Lock,
    /// The hold becomes a booking that is being paid.
    Book,
    /// Its command goes on the log.
    Place,
    /// The gateway is asked.
    Charge,
    /// The gateway's answer is in the books.
    Settle,
    /// The tickets are given.
    Ticket,
    /// The seats become what the outcome says.
    Apply,
}

impl BookingStep {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Book => "book",
            Self::Place => "place",
            Self::Charge => "charge",
            Self::Settle => "settle",
            Self::Ticket => "ticket",
            Self::Apply => "apply",
        }
    }

    /// Says, inside the step's span, that it is done.
    pub fn done(self) {
        debug!(target: "booking", "{} done", self.as_str());
    }
}

/// The span of one step. Ids that only the step finds out are recorded in it as `hold.id` and
/// `booking.id`.
pub fn booking_span(
    step: BookingStep,
    event: &EventId,
    hold: Option<&HoldId>,
    booking: Option<&BookingId>,
) -> Span {
    info_span!(
        target: "booking",
        "booking",
        step = step.as_str(),
        event.id = %event,
        hold.id = hold.map(display),
        booking.id = booking.map(display),
    )
}

/// What a step that the books recorded means for a booking's life: it was settled, and perhaps it
/// got its tickets. `submitted_at` is when its attempt was committed.
pub fn settled(booking: &Booking, submitted_at: Option<Timestamp>) {
    let span =
        |step| booking_span(step, &booking.event_id, Some(&booking.hold_id), Some(&booking.id));
    span(BookingStep::Settle).in_scope(|| BookingStep::Settle.done());
    if booking.status != BookingStatus::Confirmed {
        return;
    }
    let age = |at: Timestamp| booking.updated_at.millis_since(at);
    span(BookingStep::Ticket).in_scope(|| {
        info!(
            target: "booking",
            booked_ms_ago = age(booking.placed_at),
            charged_ms_ago = submitted_at.map(age),
            tickets = booking.tickets.len(),
            account.id = %booking.account_id,
            "the booking got its tickets"
        );
    });
}
