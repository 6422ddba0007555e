//! The books: the record of what happened, one narrow trait per kind of record.
//!
//! Expected answers are values. Every method is one transaction at READ COMMITTED (or stricter),
//! held together by constraints and compare-and-set, and may be called again after
//! [`StoreError::Unavailable`](crate::StoreError) or, having read back, after `Unknown`.
mod admissions;
mod audit;
mod events;
mod layouts;
mod people;
mod purchases;

pub use admissions::{Admissions, Admitted, Leased, QueueRecord, QueueStep, Raised, StepCommitted};
pub use audit::{AuditReads, ClaimRecord, Guard, LoggedAsk, LoggedCommand, SeatCount};
pub use events::{EventCreated, Events, LimitsChange, Patched};
pub use layouts::Layouts;
pub use people::REQUEST_LEASE_SECONDS;
pub use people::{AccountCreated, Accounts, RequestAnswer, RequestBegun, RequestKey, Requests};
pub use purchases::{
    Begun, Claim, ClaimState, Claims, DueWork, Purchases, Refunded, Scan, ScanResult, Settlement,
};

use std::sync::Arc;

/// All the books, as the composition root opened them.
#[derive(Clone)]
pub struct Books {
    pub purchases: Arc<dyn Purchases>,
    pub admissions: Arc<dyn Admissions>,
    pub accounts: Arc<dyn Accounts>,
    pub events: Arc<dyn Events>,
    pub requests: Arc<dyn Requests>,
    pub audit: Arc<dyn AuditReads>,
}
