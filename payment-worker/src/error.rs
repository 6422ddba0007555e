//! Why the payment worker could not go on.
use crate::gateway::GatewayError;
use ledger::{BatchError, StoreError};

/// A store or the gateway could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("asking a store")]
    Store(#[from] StoreError),
    /// Answers of the gateway could not be recorded.
    #[error("recording the gateway's answers")]
    Batch(#[from] BatchError),
    #[error("asking the payment gateway")]
    Gateway(#[from] GatewayError),
}

impl Error {
    /// True when the same call may be made again: everything here is safe twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable() || error.is_unknown(),
            Self::Batch(error) => matches!(error, BatchError::Again(_)),
            Self::Gateway(error) => error.is_retryable(),
        }
    }
}

/// Logs a failure with what caused it.
pub(crate) fn warn_of(error: &(dyn std::error::Error + 'static), message: &'static str) {
    tracing::warn!(error, "{message}");
}
