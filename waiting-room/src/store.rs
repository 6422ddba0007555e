//! The seam to a queue's fast copy: each method is one atomic change of one queue.
//!
//! A copy can be lost at any moment. Every method names the generation it believes in and gets
//! [`Fenced::Lost`] when the copy is not of that generation, with nothing changed.
mod local;

pub use local::LocalQueueStore;

use async_trait::async_trait;
use ledger::books::{QueueRecord, QueueStep};
use ledger::{
    AccountId, Admission, AdmissionSource, Fenced, Queue, QueueId, QueueSettings, StoreError,
    Timestamp,
};

/// Which copy of which queue a call is about.
#[derive(Debug, Clone, Copy)]
pub struct CopyRef<'a> {
    pub queue: &'a QueueId,
    pub generation: u64,
    /// The caller's clock; a store with a clock of its own uses that.
    pub now: Timestamp,
}

/// A queue as `Books` know it, made ready to be a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLoad {
    pub queue: Queue,
    pub record: QueueRecord,
    /// Oldest first, as far back as places can still be claimed.
    pub steps: Vec<QueueStep>,
    pub admissions: Vec<Admission>,
}

/// Joins that ask for numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    pub count: u64,
    /// Numbers just leased in `Books`: `first..=last`.
    pub lease: Option<(u64, u64)>,
    /// Whether those for whom there is room may be called at once.
    pub straight: bool,
}

/// Numbers given: `first..first + count`, fewer than asked for when the leased ones ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    pub first: u64,
    pub count: u64,
    /// Leased numbers that are left.
    pub left: u64,
    pub now_serving: u64,
    /// A step that calls some of them, to be committed and then published.
    pub step: Option<QueueStep>,
}

/// Somebody asks for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRequest {
    pub account: AccountId,
    /// The place in line; `None` is somebody who has none and goes straight through.
    pub number: Option<u64>,
    /// Whether a new slot may be given; without, only a live one is found again.
    pub fresh: bool,
}

/// A slot that was given and whose admission is to be committed, or already is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub number: u64,
    pub account: AccountId,
    /// The store's clock when it was given.
    pub at: Timestamp,
    pub until: Timestamp,
    pub source: AdmissionSource,
    pub committed: bool,
    /// The step that calls this number, when it is not published yet.
    pub step: Option<QueueStep>,
}

/// The answer to [`SlotRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotAnswer {
    /// A new slot, or the account's live one.
    Granted(Grant),
    NotYet {
        why: NotYet,
        /// When a called place should ask again, in milliseconds; others do as whoever looks.
        ask_after_millis: Option<i64>,
    },
    /// The place was claimed by another account.
    TokenUsed,
    /// The place was missed or left, or its session is over.
    Over,
    Closed,
    /// No leased number is left for somebody who goes straight through.
    NoNumbers,
}

impl From<NotYet> for SlotAnswer {
    fn from(why: NotYet) -> Self {
        Self::NotYet { why, ask_after_millis: None }
    }
}

/// Why no slot was given for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// Not called, or for a walk-in: others wait.
    Waiting,
    /// Paused, or not open yet.
    Paused,
    Full,
    Rate,
}

/// What became of a slot or a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// Its admission is in `Books`.
    Committed,
    /// Its admission surely is not.
    Failed,
    /// `Books` say it ended.
    Ended,
    /// Its holder gave up a place that was never admitted.
    Left,
}

/// Settings for the copy, and the revision that they have in `Books`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsChange {
    pub settings: QueueSettings,
    pub revision: u64,
    /// False while they are on their way into `Books`: beside others on their way there under the
    /// same revision they only forbid, since nobody knows whose will be recorded.
    pub recorded: bool,
}

/// Where one number stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceStatus {
    Waiting,
    /// Called; room is kept for so many milliseconds of granting time.
    Ready {
        left_millis: i64,
    },
    /// May claim when there is room; `None` for a number that never is missed.
    Returning {
        left_millis: Option<i64>,
    },
    Missed,
    Admitted {
        account: AccountId,
        at: Timestamp,
        until: Timestamp,
        committed: bool,
    },
    /// Admitted once and over, or given up.
    Done,
}

/// How many ends of slots a snapshot has.
pub const ENDS_SHOWN: usize = 9;

/// Which of `active` slots, in the order of their ends, the `nth` shown end is of.
pub(crate) fn end_shown(nth: usize, active: u64) -> u64 {
    active.saturating_sub(1) * nth as u64 / (ENDS_SHOWN as u64 - 1)
}

/// The queue as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSnapshot {
    pub settings: QueueSettings,
    pub revision: u64,
    /// The greatest number given.
    pub joined: u64,
    pub now_serving: u64,
    /// Slots in use.
    pub active: u64,
    /// Called in an open window or about to be, or late and about to ask again: the next room is
    /// theirs.
    pub called: u64,
    /// How many of a thousand called come, as measured.
    pub showing_permille: u64,
    /// Places that were given up and not called yet.
    pub left_waiting: u64,
    /// Those of them before the place that was asked for.
    pub left_ahead: u64,
    /// Slots that ended before their time, and for how many milliseconds slots were in use all
    /// together, recently.
    pub early_ends: u64,
    pub slot_millis: u64,
    /// When slots in use end at the latest: the first, the last, and evenly many between, by
    /// [`ENDS_SHOWN`]. All the same moment where none is in use, or where a place was asked for.
    pub ends: [Timestamp; ENDS_SHOWN],
    /// Granting time since the last step, while somebody waits.
    pub head_age_millis: i64,
}

impl QueueSnapshot {
    /// A queue that nobody has joined; all who are called are taken to come.
    pub(crate) fn empty(settings: QueueSettings, revision: u64) -> Self {
        Self {
            settings,
            revision,
            joined: 0,
            now_serving: 0,
            active: 0,
            called: 0,
            showing_permille: 1_000,
            left_waiting: 0,
            left_ahead: 0,
            early_ends: 0,
            slot_millis: 0,
            ends: Default::default(),
            head_age_millis: 0,
        }
    }
}

/// A queue's fast copy.
///
/// Eight methods, one for each thing that happens to a line, and one caller for all: the room's
/// fenced copy, which recovers what is lost. Traits by caller (joins, claims, settings, recovery)
/// would each carry the same fence, and every backend would implement all of them on the same keys.
#[async_trait]
pub trait QueueStore: Send + Sync {
    /// Gives numbers to joins, in order of arrival.
    async fn reserve(
        &self,
        copy: CopyRef<'_>,
        request: Reserve,
    ) -> Result<Fenced<Reserved>, StoreError>;

    /// Proposes the next step, as far as rate and room allow; `None` when nobody is to be called.
    /// The caller commits it, then publishes it.
    async fn propose(&self, copy: CopyRef<'_>) -> Result<Fenced<Option<QueueStep>>, StoreError>;

    /// Calls everyone up to the step; never back.
    async fn publish(&self, copy: CopyRef<'_>, step: QueueStep) -> Result<Fenced<()>, StoreError>;

    /// Takes a rate token and a slot, or says why not. A replay gets the same slot.
    async fn take(
        &self,
        copy: CopyRef<'_>,
        request: SlotRequest,
    ) -> Result<Fenced<SlotAnswer>, StoreError>;

    /// Tells what became of a slot or a place.
    async fn settle(
        &self,
        copy: CopyRef<'_>,
        number: u64,
        outcome: ClaimOutcome,
    ) -> Result<Fenced<()>, StoreError>;

    /// The queue as a whole, and where `number` stands.
    async fn look(
        &self,
        copy: CopyRef<'_>,
        number: Option<u64>,
    ) -> Result<Fenced<(QueueSnapshot, Option<PlaceStatus>)>, StoreError>;

    /// Applies settings unless the copy has newer ones. Answers when, by the store's clock.
    async fn configure(
        &self,
        copy: CopyRef<'_>,
        change: SettingsChange,
    ) -> Result<Fenced<Timestamp>, StoreError>;

    /// Makes `loaded` the copy of its generation, unless there is one as new already.
    async fn swap_in(&self, loaded: QueueLoad, now: Timestamp) -> Result<(), StoreError>;
}
