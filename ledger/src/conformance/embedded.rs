//! A whole embedded ledger in a folder of its own, as the tests of every crate hold it.
use crate::books::Books;
use crate::journal::SeatJournal;
use crate::log::BookingLog;
use crate::views::Views;
use std::any::Any;
use std::sync::Arc;
use tempfile::TempDir;

/// An embedded ledger; its folder goes when it is dropped.
pub struct TestLedger {
    pub books: Books,
    pub log: Arc<dyn BookingLog>,
    pub views: Arc<dyn Views>,
    pub journal: Arc<dyn SeatJournal>,
    /// What must be let go before the folder is removed.
    pub file: Box<dyn Any + Send + Sync>,
    /// The last field, and so dropped last.
    pub dir: TempDir,
}
