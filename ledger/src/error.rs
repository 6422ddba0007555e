//! What a store says when it cannot answer: nothing happened, or nobody knows.
use std::error::Error as StdError;

/// The cause beneath a [`StoreError`].
pub type Source = Box<dyn StdError + Send + Sync>;

/// A store could not answer. Expected answers ("taken", "not yet") are values, never this.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed; trying again is safe.
    #[error("{doing}: the store is unavailable")]
    Unavailable { doing: &'static str, source: Source },
    /// The change may or may not have happened; read back by key before anything else.
    #[error("{doing}: the outcome is unknown")]
    Unknown { doing: &'static str, source: Source },
    /// The store holds something that Tidegate never wrote, or refuses for ever.
    #[error("{doing}: {detail}")]
    Broken { doing: &'static str, detail: String },
}

impl StoreError {
    pub fn unavailable(doing: &'static str, source: impl Into<Source>) -> Self {
        Self::Unavailable { doing, source: source.into() }
    }

    pub fn unknown(doing: &'static str, source: impl Into<Source>) -> Self {
        Self::Unknown { doing, source: source.into() }
    }

    pub fn broken(doing: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Broken { doing, detail: detail.to_string() }
    }

    /// True when nothing happened and the same call may be made again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// True when the same call would fail the same way for ever.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }

    /// True when the change may have happened.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}
