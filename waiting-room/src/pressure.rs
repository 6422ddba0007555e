//! What the stages behind the waiting room feel, told to it as a value.
use ledger::{Money, QueueId};
use std::collections::HashMap;
use std::sync::Arc;

/// The pressure behind one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Nothing is left to sell, nor held by anyone: waiting on is in vain.
    pub sold_out: bool,
    /// The stages behind are overloaded: call nobody for now.
    pub slow: bool,
    pub seats_available: u64,
    pub price_from: Option<Money>,
}

/// The pressure of every queue; what is missing counts as none.
pub type Pressures = Arc<HashMap<QueueId, Pressure>>;
