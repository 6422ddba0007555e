//! The queue token: a place in line as a signature, not a row.
use ledger::{AccountId, QueueId, Timestamp};

/// A place in line. Whoever shows it has it; the first claim binds it to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueToken {
    pub queue: QueueId,
    /// The order of arrival, given once.
    pub entry: u64,
    /// The place in line; `None` until drawn where a draw comes later.
    pub number: Option<u64>,
    /// The account that joined, when it joined with a login.
    pub account: Option<AccountId>,
    pub issued_at: Timestamp,
}
