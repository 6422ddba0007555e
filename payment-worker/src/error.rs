//! Why the payment worker could not go on.
use crate::gateway::GatewayError;
use ledger::StoreError;

/// A store or the gateway could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("asking a store")]
    Store(#[from] StoreError),
    #[error("asking the payment gateway")]
    Gateway(#[from] GatewayError),
}

impl Error {
    /// True when the same call may be made again: everything here is safe twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable() || error.is_unknown(),
            Self::Gateway(error) => error.is_retryable(),
        }
    }
}
