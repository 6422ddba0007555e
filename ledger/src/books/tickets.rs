//! Tickets as the gate and their owners see them.
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::ids::{AccountId, TicketId};
use crate::ticket::{Ticket, TicketState};
use async_trait::async_trait;
use serde::Serialize;

/// A ticket at the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub ticket_id: TicketId,
    pub issue: u32,
    /// Who scanned it, and where.
    pub by: AccountId,
    pub gate: Option<String>,
}

/// Takes a scan back: somebody was at the wrong door, or the scanner was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unscan {
    pub ticket_id: TicketId,
    pub by: AccountId,
    pub reason: String,
}

/// What was done with a ticket at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketAction {
    Scan,
    Unscan,
}

impl TicketAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Unscan => "unscan",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Scan, Self::Unscan].into_iter().find(|action| action.as_str() == text)
    }
}

/// A line of a ticket's trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketUse {
    pub action: TicketAction,
    pub at: Timestamp,
    pub by: AccountId,
    pub gate: Option<String>,
    pub reason: Option<String>,
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

    /// Makes a used ticket valid again; one in another state stays as it is. `state` is what it
    /// was. `None`: no such ticket.
    async fn unscan(
        &self,
        unscan: &Unscan,
        now: Timestamp,
    ) -> Result<Option<ScanResult>, StoreError>;

    /// What was done with a ticket, oldest first. Rows are only ever added.
    async fn trail(&self, id: &TicketId) -> Result<Vec<TicketUse>, StoreError>;
}
