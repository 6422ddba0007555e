//! Accounts, and the answers given to requests that carried an idempotency key.
use crate::account::{Account, Role};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::ids::AccountId;
use async_trait::async_trait;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountCreated {
    Created,
    /// The name is taken.
    Taken,
}

/// The record of accounts.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Adds accounts, all in one transaction; names are unique on their normalised form. Answers
    /// in the order of `accounts`.
    async fn create(&self, accounts: &[Account]) -> Result<Vec<AccountCreated>, StoreError>;

    async fn by_name(&self, username: &str) -> Result<Option<Account>, StoreError>;

    async fn by_id(&self, id: &AccountId) -> Result<Option<Account>, StoreError>;

    /// Any account of a role; `None` when nobody has it.
    async fn any_of(&self, role: Role) -> Result<Option<Account>, StoreError>;

    /// False when there is no such account.
    async fn set_role(&self, username: &str, role: Role) -> Result<bool, StoreError>;
}

/// What makes two requests the same (`one-key-one-effect`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The account, or the peer's scope for routes without a login.
    pub account: String,
    /// Method and path.
    pub route: String,
    pub key: String,
}

/// A kept answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestAnswer {
    pub status: u16,
    pub content_type: String,
    /// Other headers that belong to the answer.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How long the one who began a request has it to itself.
pub const REQUEST_LEASE_SECONDS: u32 = 30;

/// The answer to beginning a keyed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestBegun {
    /// The caller carries it out, and holds a lease of 30 s on the key.
    New,
    /// It was carried out before: give this answer again.
    Replay(RequestAnswer),
    /// The key was used with another body.
    Mismatch,
    /// It is being carried out right now.
    Running,
}

/// The record of keyed requests, kept for 24 h.
#[async_trait]
pub trait Requests: Send + Sync {
    async fn begin(
        &self,
        key: &RequestKey,
        body_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<RequestBegun, StoreError>;

    /// Keeps the answer.
    async fn finish(&self, key: &RequestKey, answer: &RequestAnswer) -> Result<(), StoreError>;

    /// Forgets the key: the request that began at `begun_at` had no effect (429, 5xx). Whoever has
    /// taken the key over since keeps it.
    async fn abandon(&self, key: &RequestKey, begun_at: Timestamp) -> Result<(), StoreError>;

    /// Removes what is older than `before`; returns how many.
    async fn expire(&self, before: Timestamp) -> Result<u64, StoreError>;
}
