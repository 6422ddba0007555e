//! Why the waiting room could not answer.
use ledger::{BatchError, Recovering, StoreError};

/// The waiting room could not answer; nobody lost a place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("asking a store")]
    Store(#[from] StoreError),
    /// The queue's copy was lost and is being rebuilt.
    #[error("the queue is being recovered")]
    Recovering,
    /// More joins wait than the bound allows.
    #[error("too many joins are waiting")]
    Overloaded,
    #[error("signing a token")]
    Signing(#[from] ledger::keys::SigningError),
}

impl From<Recovering> for Error {
    fn from(Recovering: Recovering) -> Self {
        Self::Recovering
    }
}

impl Error {
    /// True when nothing happened and the same call may be made again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Recovering | Self::Overloaded => true,
            Self::Signing(_) => false,
        }
    }
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Recovering | Error::Overloaded | Error::Signing(_) => Self::Again(error.into()),
        }
    }
}
