//! Work that ends: bookings (I4), messages (I16), legal states (I18), and the guards of rows that
//! may only be added (I15).
use super::finding::{Finding, Invariant};
use super::record::{Record, overdue};
use super::tally::Tally;
use crate::booking::{BookingStatus, RefundStatus};
use crate::books::LoggedAsk;
use crate::clock::Timestamp;
use crate::ids::BookingId;
use crate::purchase::{PaymentState, Purchase};
use crate::ticket::{Ticket, TicketState};
use std::collections::HashMap;

/// I4: whatever was accepted comes to an end in time.
pub(super) fn bookings_end(record: &Record, now: Timestamp) -> Finding {
    let mut tally = Tally::default();
    for (id, purchase) in &record.purchases {
        tally.look();
        let command = &purchase.command;
        let late = match purchase.status {
            BookingStatus::Processing => overdue(command.placed_at, now) && now > command.deadline,
            BookingStatus::RefundPending => overdue(purchase.updated_at, now),
            BookingStatus::Confirmed
            | BookingStatus::Declined
            | BookingStatus::SeatLost
            | BookingStatus::OverCap
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::Refunded => false,
        };
        let (status, payment) = (purchase.status.as_str(), purchase.payment.as_str());
        tally.demand(!late, || format!("{id} is still {status}, payment {payment}"));
    }
    tally.finding(Invariant::I4, "bookings")
}

/// I15: what keeps the append-only tables stands.
pub(super) fn guards_stand(record: &Record) -> Finding {
    let mut tally = Tally::default();
    for guard in &record.guards {
        tally.look();
        tally.demand(guard.stands, || format!("nothing refuses {}", guard.refuses));
    }
    tally.finding(Invariant::I15, "guards")
}

/// I16: what the log acknowledged has its effect, or is in the dead-letter topic.
pub(super) fn messages_have_effect(record: &Record, now: Timestamp) -> Finding {
    if record.commands.is_empty() && !record.purchases.is_empty() {
        return Finding::not_checked(Invariant::I16, "the log is not kept beside the books");
    }
    let mut tally = Tally::default();
    for message in &record.commands {
        tally.look();
        let done = match &message.ask {
            LoggedAsk::Place(id) => record.purchases.contains_key(id),
            // A cancel of what was never opened has nothing to undo.
            LoggedAsk::Cancel(id) => {
                record.purchases.get(id).is_none_or(|p| heard_cancel(record, p))
            }
            LoggedAsk::Unreadable => false,
        };
        let young = !overdue(message.appended_at, now);
        let name = || match &message.ask {
            LoggedAsk::Place(id) => format!("{id} was placed"),
            LoggedAsk::Cancel(id) => format!("{id} was cancelled"),
            LoggedAsk::Unreadable => "something unreadable".into(),
        };
        tally.demand(done || message.dead || young, || {
            format!("{} at {}, to no effect", name(), message.position)
        });
    }
    tally.finding(Invariant::I16, "messages")
}

/// A cancel is noted, or came when the booking was over; the gate may have been faster.
fn heard_cancel(record: &Record, purchase: &Purchase) -> bool {
    let id = &purchase.command.booking_id;
    let used = |t: &Ticket| t.booking_id == *id && t.state == TicketState::Used;
    match purchase.status {
        BookingStatus::Processing => purchase.cancel_requested,
        BookingStatus::Confirmed => record.tickets.iter().any(used),
        BookingStatus::Declined
        | BookingStatus::SeatLost
        | BookingStatus::OverCap
        | BookingStatus::Expired
        | BookingStatus::Cancelled
        | BookingStatus::RefundPending
        | BookingStatus::Refunded => true,
    }
}

/// I18: every purchase stands where listed transitions can have brought it.
pub(super) fn states_are_legal(record: &Record) -> Finding {
    let mut tally = Tally::default();
    let mut tickets: HashMap<&BookingId, Vec<&Ticket>> = HashMap::new();
    for ticket in &record.tickets {
        tickets.entry(&ticket.booking_id).or_default().push(ticket);
        let known = record.purchases.contains_key(&ticket.booking_id);
        tally.demand(known, || format!("{} is a ticket of no booking", ticket.id));
    }
    for (id, purchase) in record.resting() {
        tally.look();
        let (status, payment) = (purchase.status.as_str(), purchase.payment.as_str());
        tally.demand(is_reachable(purchase), || {
            format!("{id} is {status} while its payment is {payment}")
        });
        for (fits, what) in facts_fit(purchase) {
            tally.demand(fits, || format!("{id} is {status} with a {what} that does not fit"));
        }
        let tickets = tickets.get(id).map_or(&[][..], Vec::as_slice);
        tally.demand(tickets_fit(purchase, tickets), || {
            format!("{id} is {status}, and its {} tickets do not fit", tickets.len())
        });
    }
    tally.finding(Invariant::I18, "bookings")
}

fn is_reachable(purchase: &Purchase) -> bool {
    use BookingStatus::{
        Cancelled, Confirmed, Declined, Expired, OverCap, Processing, RefundPending, Refunded,
        SeatLost,
    };
    let status = purchase.status;
    match purchase.payment {
        PaymentState::NotAttempted => {
            matches!(status, Processing | SeatLost | OverCap | Expired | Cancelled)
        }
        PaymentState::Submitted | PaymentState::Unknown => matches!(status, Processing),
        // There is nothing to pay back.
        PaymentState::Captured if purchase.is_free() => matches!(status, Confirmed | Cancelled),
        PaymentState::Captured => matches!(status, Confirmed | RefundPending | Refunded),
        PaymentState::Declined => matches!(status, Declined | Cancelled),
    }
}

fn facts_fit(purchase: &Purchase) -> [(bool, &'static str); 5] {
    let attempted = purchase.payment != PaymentState::NotAttempted;
    let captured = purchase.payment == PaymentState::Captured;
    let decided = purchase.status != BookingStatus::Processing;
    let cancelled = purchase.status == BookingStatus::Cancelled;
    [
        (purchase.submitted_at.is_some() == attempted, "time of submission"),
        (purchase.charge_id.is_some() == captured, "charge"),
        ((purchase.version > 1) == decided, "version"),
        (purchase.cancel_requested || !cancelled, "cancel"),
        (refunds_fit(purchase), "refund"),
    ]
}

fn refunds_fit(purchase: &Purchase) -> bool {
    let pending = purchase.refunds.iter().any(|refund| refund.status == RefundStatus::Pending);
    match purchase.status {
        BookingStatus::RefundPending => pending,
        BookingStatus::Refunded => !pending && !purchase.refunds.is_empty(),
        BookingStatus::Processing
        | BookingStatus::Confirmed
        | BookingStatus::Declined
        | BookingStatus::SeatLost
        | BookingStatus::OverCap
        | BookingStatus::Expired
        | BookingStatus::Cancelled => purchase.refunds.is_empty(),
    }
}

/// A confirmed booking has a ticket for every item that opens the door; any other has none.
fn tickets_fit(purchase: &Purchase, tickets: &[&Ticket]) -> bool {
    let void = |ticket: &&Ticket| ticket.state == TicketState::Void;
    if purchase.status != BookingStatus::Confirmed {
        return tickets.iter().all(void);
    }
    let items = &purchase.command.items;
    let listed = |ticket: &&Ticket| {
        purchase.tickets.iter().any(|t| t.ticket_id == ticket.id && t.item == ticket.item)
    };
    tickets.len() == items.len()
        && purchase.tickets.len() == items.len()
        && tickets.iter().all(|ticket| listed(ticket) && !void(ticket))
        && items.iter().all(|item| tickets.iter().any(|ticket| ticket.item == item.item))
}
