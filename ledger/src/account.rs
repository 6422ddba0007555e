//! Accounts: who somebody is and what they may do.
use crate::clock::Timestamp;
use crate::ids::AccountId;
use serde::{Deserialize, Serialize};

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Buys tickets.
    User,
    /// Makes events and steers queues.
    Admin,
    /// Scans tickets at the door.
    Gate,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Gate => "gate",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Admin, Self::Gate].into_iter().find(|role| role.as_str() == text)
    }
}

/// An account. The password hash is opaque here; `ingress` makes and checks it.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    /// Normalised once, at the door; unique.
    pub username: String,
    /// None for accounts that log in another way (minted for a load test, imported).
    pub password_hash: Option<String>,
    pub role: Role,
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("role", &self.role).finish()
    }
}
