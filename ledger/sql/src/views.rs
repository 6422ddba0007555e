//! Rows of the views: whole bookings as JSON, and the marks of an account's pages.
use super::{Record, RowError, from_json};
use ledger::Booking;

/// Where a page starts: before this time and id, newest first.
pub type PageStart = (i64, String);

pub fn booking(row: &dyn Record) -> Result<Booking, RowError> {
    from_json(row, "booking")
}

/// The mark of a page's last booking: where it stands in the order, newest first.
pub fn mark(last: &Booking) -> String {
    format!("{}~{}", last.placed_at.millis(), last.id)
}

/// `None` for a mark that no page gave out: nothing is after it.
pub fn page_start(after: Option<&str>) -> Option<PageStart> {
    let Some(mark) = after else { return Some((i64::MAX, String::new())) };
    let (placed_at, id) = mark.split_once('~')?;
    Some((placed_at.parse().ok()?, id.to_owned()))
}
