//! Events, and the settings of the queues in front of them.
use crate::clock::Timestamp;
use crate::ids::{EventId, QueueId};
use crate::layout::Layout;
use crate::money::{Currency, Money};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Something seats are sold for. Its layout never changes once it is on sale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub name: String,
    /// RFC 3339, or a date alone.
    pub date: String,
    /// An IANA name, "Europe/Vienna".
    pub timezone: String,
    pub venue: String,
    pub on_sale_at: Timestamp,
    pub queue_id: QueueId,
    pub terms: SaleTerms,
    pub layout_version: u32,
    pub layout: Arc<Layout>,
    pub created_at: Timestamp,
}

impl Event {
    pub fn currency(&self) -> Currency {
        self.layout.currency()
    }

    /// When the event is surely over: two days after its date, whatever its time zone. `None` for
    /// a date that cannot be read.
    pub fn over_at(&self) -> Option<Timestamp> {
        const GRACE_SECONDS: u32 = 2 * 24 * 60 * 60;
        let midnight = || Timestamp::parse_rfc3339(&format!("{}T00:00:00Z", self.date));
        let starts = Timestamp::parse_rfc3339(&self.date).or_else(midnight)?;
        Some(starts.plus_seconds(GRACE_SECONDS))
    }
}

/// What the sale of an event keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleTerms {
    pub hold_ttl_seconds: u32,
    pub payment_deadline_seconds: u32,
    pub seats_per_account_max: u32,
}

impl Default for SaleTerms {
    fn default() -> Self {
        Self { hold_ttl_seconds: 300, payment_deadline_seconds: 60, seats_per_account_max: 10 }
    }
}

/// What a seat costs where the event does not say.
pub const DEFAULT_PRICE: Money = Money::new(4_500, Currency::EUR);

/// Whether a queue lets people in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueState {
    /// People may line up; nobody is called before it opens.
    PreQueue,
    Open,
    /// Nobody is called and no claim is granted; those admitted go on.
    Paused,
    /// Over: nobody may join or claim.
    Closed,
}

impl QueueState {
    pub const ALL: [Self; 4] = [Self::PreQueue, Self::Open, Self::Paused, Self::Closed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreQueue => "pre_queue",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Closed => "closed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How a queue admits people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSettings {
    pub state: QueueState,
    /// Admissions a minute, over all nodes.
    pub rate_per_minute: u32,
    /// Slots: how many may be in the shop at once.
    pub capacity: u32,
    /// How long room is kept for somebody who was called.
    pub claim_window_seconds: u32,
    /// How long after that they may still come.
    pub return_seconds: u32,
    /// How long a slot lasts.
    pub session_seconds: u32,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            state: QueueState::Open,
            rate_per_minute: 60_000,
            capacity: 10_000,
            claim_window_seconds: 30,
            return_seconds: 600,
            session_seconds: 600,
        }
    }
}

/// A change to a queue's settings; `None` keeps what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueuePatch {
    pub state: Option<QueueState>,
    pub rate_per_minute: Option<u32>,
    pub capacity: Option<u32>,
    pub claim_window_seconds: Option<u32>,
    pub return_seconds: Option<u32>,
    pub session_seconds: Option<u32>,
}

impl QueuePatch {
    pub fn applied_to(&self, old: QueueSettings) -> QueueSettings {
        QueueSettings {
            state: self.state.unwrap_or(old.state),
            rate_per_minute: self.rate_per_minute.unwrap_or(old.rate_per_minute),
            capacity: self.capacity.unwrap_or(old.capacity),
            claim_window_seconds: self.claim_window_seconds.unwrap_or(old.claim_window_seconds),
            return_seconds: self.return_seconds.unwrap_or(old.return_seconds),
            session_seconds: self.session_seconds.unwrap_or(old.session_seconds),
        }
    }
}

/// How many people are before `number` and have not been called: the one formula for what `ahead`
/// means on the wire. Whoever comes next has nobody ahead, and is called all the same only when
/// `now_serving` reaches their number.
pub fn people_ahead(number: u64, now_serving: u64) -> u64 {
    number.saturating_sub(now_serving.saturating_add(1))
}

/// A queue as `Books` know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    pub id: QueueId,
    pub settings: QueueSettings,
    /// When a pre-queue opens by itself.
    pub opens_at: Timestamp,
    /// Grows with every change of the settings; a node applies only a newer one.
    pub revision: u64,
}
