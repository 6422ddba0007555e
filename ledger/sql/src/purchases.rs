//! Rows of purchases. The command stands there as it does on the log.
use super::{Record, RowError, from_json, known, narrow, time, time_maybe, undecodable};
use ledger::message::COMMAND_TYPE;
use ledger::purchase::{PaymentState, Purchase};
use ledger::{BookingCommand, BookingStatus, Message, PlaceBooking, Timestamp, Topic};

pub fn purchase(row: &dyn Record) -> Result<Purchase, RowError> {
    Ok(Purchase {
        command: command(row)?,
        payment: known(row, "payment", PaymentState::parse)?,
        status: known(row, "status", BookingStatus::parse)?,
        failure_code: row.text_maybe("failure_code")?.map(str::to_owned),
        charge_id: row.text_maybe("charge_id")?.map(str::to_owned),
        cancel_requested: row.flag("cancel_requested")?,
        tickets: from_json(row, "tickets")?,
        refunds: from_json(row, "refunds")?,
        version: narrow(row, "version")?,
        submitted_at: time_maybe(row, "submitted_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

pub fn purchase_and_try(row: &dyn Record) -> Result<(Purchase, Option<Timestamp>), RowError> {
    Ok((purchase(row)?, time_maybe(row, "next_try_at")?))
}

/// The command as it stands on the log, so that one golden file guards both.
pub fn command_text(command: &PlaceBooking) -> Result<String, RowError> {
    let value = Message::Command(BookingCommand::Place(command.clone())).encode();
    String::from_utf8(value).map_err(RowError::unwritable)
}

fn command(row: &dyn Record) -> Result<PlaceBooking, RowError> {
    let text = row.text("command")?;
    match Message::decode(Topic::Bookings, COMMAND_TYPE, text.as_bytes()) {
        Ok(Message::Command(BookingCommand::Place(command))) => Ok(command),
        // The text carries a payment token, so it must not end up in an error.
        Ok(Message::Command(BookingCommand::Cancel(_)) | Message::Outcome(_)) => {
            Err(undecodable("command", "another kind of message"))
        }
        Err(error) => Err(undecodable("command", error.to_string())),
    }
}
