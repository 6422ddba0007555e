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
mod queue_progress;
mod queues;
mod tickets;

pub use admissions::{Admissions, Admitted};
pub use audit::{AuditReads, ClaimRecord, Guard, LoggedAsk, LoggedCommand, SeatCount};
pub use events::{EventCreated, Events, SeatGenerations};
pub use layouts::Layouts;
pub use people::REQUEST_LEASE_SECONDS;
pub use people::{AccountCreated, Accounts, RequestAnswer, RequestBegun, RequestKey, Requests};
pub use purchases::{
    Begun, Claim, ClaimState, Claims, DueWork, Outbox, PurchaseReads, Purchases, Refunded,
    Settlement,
};
pub use queue_progress::{Leased, QueueProgress, QueueRecord, QueueStep, Raised, StepCommitted};
pub use queues::{LimitsChange, Patched, Queues};
pub use tickets::{Scan, ScanResult, TicketAction, TicketUse, Tickets, Unscan};

use std::sync::Arc;

/// All the books, as the composition root opened them.
#[derive(Clone)]
pub struct Books {
    pub purchases: Arc<dyn Purchases>,
    pub outbox: Arc<dyn Outbox>,
    pub purchase_reads: Arc<dyn PurchaseReads>,
    pub tickets: Arc<dyn Tickets>,
    pub queue_progress: Arc<dyn QueueProgress>,
    pub admissions: Arc<dyn Admissions>,
    pub events: Arc<dyn Events>,
    pub queues: Arc<dyn Queues>,
    pub seat_generations: Arc<dyn SeatGenerations>,
    pub accounts: Arc<dyn Accounts>,
    pub requests: Arc<dyn Requests>,
    pub audit: Arc<dyn AuditReads>,
}
