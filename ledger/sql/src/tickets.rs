//! Rows of tickets: as they are read, and as a sale adds them.
use super::{Record, RowError, known, narrow, parsed, time, time_maybe, undecodable};
use ledger::books::{TicketAction, TicketUse};
use ledger::purchase::Purchase;
use ledger::ticket::{Ticket, TicketState};
use ledger::{AccountId, BookingId, BookingItem, EventId, PlaceId, TicketId};

/// A ticket about to be issued: its id, booking, event, account, item, seat and label.
pub type NewTicket<'a> = (
    &'a TicketId,
    &'a BookingId,
    &'a EventId,
    &'a AccountId,
    &'a PlaceId,
    Option<&'a PlaceId>,
    &'a str,
);

/// The tickets of purchases just confirmed.
pub fn new_tickets<'a>(sold: &[&'a Purchase]) -> Vec<NewTicket<'a>> {
    sold.iter().flat_map(|purchase| of_purchase(purchase)).collect()
}

fn of_purchase(purchase: &Purchase) -> impl Iterator<Item = NewTicket<'_>> {
    let command = &purchase.command;
    let item_of =
        |place: &PlaceId| command.items.iter().find(|item: &&BookingItem| item.item == *place);
    purchase.tickets.iter().filter_map(move |ticket| {
        let item = item_of(&ticket.item)?;
        let ids = (&ticket.ticket_id, &command.booking_id);
        let owner = (&command.event_id, &command.account_id);
        Some((ids.0, ids.1, owner.0, owner.1, &item.item, item.seat.as_ref(), &*item.label))
    })
}

/// A line of a ticket's trail.
pub fn ticket_use(row: &impl Record) -> Result<TicketUse, RowError> {
    Ok(TicketUse {
        action: known(row, "action", TicketAction::parse)?,
        at: time(row, "at")?,
        by: parsed(row, "by_account", AccountId::parse)?,
        gate: row.text_maybe("gate")?.map(str::to_owned),
        reason: row.text_maybe("reason")?.map(str::to_owned),
    })
}

pub fn ticket(row: &impl Record) -> Result<Ticket, RowError> {
    let seat = row.text_maybe("seat")?.map(PlaceId::parse);
    Ok(Ticket {
        id: parsed(row, "id", TicketId::parse)?,
        booking_id: parsed(row, "booking_id", BookingId::parse)?,
        event_id: parsed(row, "event_id", EventId::parse)?,
        account_id: parsed(row, "account_id", AccountId::parse)?,
        item: parsed(row, "item", PlaceId::parse)?,
        seat: seat.transpose().map_err(|_| undecodable("seat", "no id"))?,
        label: row.text("label")?.to_owned(),
        issue: narrow(row, "issue")?,
        state: known(row, "state", TicketState::parse)?,
        used_at: time_maybe(row, "used_at")?,
    })
}
