//! Why the allocator could not answer.
use ledger::{BatchError, BookingId, Recovering, StoreError};

/// The allocator could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("asking a store")]
    Store(#[from] StoreError),
    /// The event's copy was lost and is being rebuilt.
    #[error("the seats are being recovered")]
    Recovering,
    /// The command may or may not be on the log; a later read of the booking says which.
    #[error("appending the booking command")]
    OutcomeUnknown { booking: BookingId, source: StoreError },
    #[error("the price of the hold overflows")]
    Overflow,
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
            Self::Recovering => true,
            Self::OutcomeUnknown { .. } | Self::Overflow => false,
        }
    }
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Recovering | Error::OutcomeUnknown { .. } => Self::Again(error.into()),
            Error::Overflow => Self::Broken(error.into()),
        }
    }
}
