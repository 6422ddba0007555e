//! Tickets as the gate and their owners see them.
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::ids::TicketId;
use crate::ticket::{Ticket, TicketState};
use async_trait::async_trait;

/// A ticket at the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub ticket_id: TicketId,
    pub issue: u32,
}

/// What the gate is told: `state` is what the ticket was when it was scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanResult {
    pub state: TicketState,
    pub ticket: Ticket,
}

/// The record of tickets. Purchases make and void them; the gate uses them.
#[async_trait]
pub trait Tickets: Send + Sync {
    async fn ticket(&self, id: &TicketId) -> Result<Option<Ticket>, StoreError>;

    /// Uses a ticket, once: competes with a cancel by compare-and-set. `None`: no such ticket, or
    /// another issue of it is in force.
    async fn scan(&self, scan: &Scan, now: Timestamp) -> Result<Option<ScanResult>, StoreError>;
}
