//! The booking log: where intent and outcome travel, in order per booking, at least once.
use crate::booking::{BookingCommand, BookingOutcome};
use crate::clock::Timestamp;
use crate::error::StoreError;
use async_trait::async_trait;

/// A topic of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Booking commands.
    Bookings,
    /// Booking outcomes.
    Outcomes,
    /// What could not be read, with its raw bytes, or not be carried out; each with the reason.
    Dead,
}

impl Topic {
    pub const ALL: [Self; 3] = [Self::Bookings, Self::Outcomes, Self::Dead];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bookings => "tidegate.bookings.v1",
            Self::Outcomes => "tidegate.outcomes.v1",
            Self::Dead => "tidegate.bookings.dead.v1",
        }
    }
}

/// Who reads. Each group sees every message of its topics, once per group at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    PaymentWorker,
    OutcomeApplier,
    SlotEnder,
    Projector,
}

impl Group {
    pub const ALL: [Self; 4] =
        [Self::PaymentWorker, Self::OutcomeApplier, Self::SlotEnder, Self::Projector];

    pub fn name(self) -> &'static str {
        match self {
            Self::PaymentWorker => "tidegate.payment-worker",
            Self::OutcomeApplier => "tidegate.outcome-applier",
            Self::SlotEnder => "tidegate.slot-ender",
            Self::Projector => "tidegate.projector",
        }
    }

    pub fn topics(self) -> &'static [Topic] {
        match self {
            Self::PaymentWorker => &[Topic::Bookings],
            Self::OutcomeApplier | Self::SlotEnder => &[Topic::Outcomes],
            Self::Projector => &[Topic::Bookings, Topic::Outcomes],
        }
    }
}

/// What travels on the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Command(BookingCommand),
    Outcome(Box<BookingOutcome>),
}

impl Message {
    pub fn topic(&self) -> Topic {
        match self {
            Self::Command(_) => Topic::Bookings,
            Self::Outcome(_) => Topic::Outcomes,
        }
    }

    /// The booking id: messages of one booking keep their order.
    pub fn key(&self) -> &str {
        match self {
            Self::Command(command) => command.booking_id().as_str(),
            Self::Outcome(outcome) => outcome.booking.id.as_str(),
        }
    }
}

/// Where a message stands in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// 0 where a topic has only one.
    pub partition: i32,
    pub offset: i64,
}

/// A message that was read, where it stands, and when it was appended.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub message: Message,
    pub position: LogPosition,
    pub appended_at: Timestamp,
}

/// A message that could be read and can never be carried out, and why.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub delivery: Delivery,
    pub reason: String,
}

/// How much of a topic a group has still to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    pub messages: u64,
    /// When the oldest unread message was appended.
    pub oldest_at: Option<Timestamp>,
}

/// The log. `append` returns once the log has acknowledged every message; an error says whether
/// it may have been appended all the same.
#[async_trait]
pub trait BookingLog: Send + Sync {
    async fn append(&self, messages: Vec<Message>) -> Result<(), StoreError>;

    /// Joins a group. Messages that were delivered but not committed come again to somebody.
    async fn subscribe(&self, group: Group) -> Result<Box<dyn Subscription>, StoreError>;

    /// Appends to [`Topic::Dead`] what `group` could read and can never carry out. Harmless twice:
    /// a letter may be there more than once, known by where its message stands.
    async fn append_dead(&self, group: Group, letters: &[DeadLetter]) -> Result<(), StoreError>;

    async fn backlog(&self, group: Group) -> Result<Backlog, StoreError>;
}

/// One reader of a group. What cannot be read goes to [`Topic::Dead`] inside `next`, acknowledged
/// there before it counts as read here.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for messages and returns up to `max` of them, in order per key. May return none
    /// (a rebalance, or only unreadable messages). Cancel-safe: a call that is dropped loses
    /// nothing.
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, StoreError>;

    /// Everything returned so far has had its effect; it need not come again.
    async fn commit(&mut self) -> Result<(), StoreError>;

    /// The first `messages` of those returned and not committed have had their effect; those
    /// behind them are still being worked on.
    async fn commit_first(&mut self, messages: usize) -> Result<(), StoreError>;
}
