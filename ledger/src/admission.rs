//! Admissions: who was let into the shop, when, and for how long. The facts never change.
use crate::clock::Timestamp;
use crate::ids::{AccountId, QueueId};
use serde::{Deserialize, Serialize};

/// A slot in the shop: the queue and the number it was given to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlotRef {
    pub queue: QueueId,
    pub number: u64,
}

/// How somebody came to be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionSource {
    /// Waited in line and claimed.
    Line,
    /// Locked seats while nobody waited.
    StraightThrough,
}

impl AdmissionSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::StraightThrough => "straight_through",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Line, Self::StraightThrough].into_iter().find(|s| s.as_str() == text)
    }
}

/// One row per number that was admitted; unique on (queue, number).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    pub slot: SlotRef,
    pub account: AccountId,
    /// The queue store's clock when the claim was granted.
    pub at: Timestamp,
    /// When the slot ends by itself: the pass's `exp`.
    pub until: Timestamp,
    /// When it ended before that.
    pub ended_at: Option<Timestamp>,
    pub source: AdmissionSource,
}

impl Admission {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.until
    }
}
