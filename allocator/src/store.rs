//! The seams to the seats: who holds what just now, of one event at a time.
//!
//! Three, because their callers differ: [`SeatHolds`] is for visitors, [`SeatUpkeep`] for the loops
//! and the seat map, [`SeatCopies`] for recovery. A backend is all three, a [`SeatStore`].
mod local;

pub use local::LocalSeatStore;

use crate::grid::Counts;
use crate::record::HoldRecord;
use crate::{BookTarget, Keyed, ReleaseAnswer, Wish};
use async_trait::async_trait;
use ledger::{
    AccountId, BookingId, BookingOutcome, Event, Fenced, HoldId, PaymentToken, PlaceBooking,
    SlotRef, StoreError, Timestamp,
};
use std::sync::Arc;

/// Which copy a call is about: the event, the generation that the copy must bear, and the time.
#[derive(Debug, Clone)]
pub struct CopyRef {
    pub event: Arc<Event>,
    pub generation: u64,
    pub now: Timestamp,
    pub limits: Limits,
}

/// What the store keeps to besides the event's own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a key is kept.
    pub key_seconds: u32,
    /// The fewest seconds a hold has left after a decline.
    pub declined_hold_seconds: u32,
}

/// Asks for a hold.
#[derive(Debug, Clone)]
pub struct Lock {
    pub account: AccountId,
    pub slot: Option<SlotRef>,
    pub wish: Wish,
    pub key: Option<Keyed>,
    /// The id of a hold without a key.
    pub minted: HoldId,
}

/// The answer to [`Lock`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    Held(Box<HoldRecord>),
    Taken,
    SoldOut,
    OverCap,
    Mismatch,
    Expired,
}

/// Asks to pay for a hold.
#[derive(Debug, Clone)]
pub struct Pay {
    pub account: AccountId,
    pub target: BookTarget,
    pub payment_token: PaymentToken,
    pub key: Option<Keyed>,
    /// A booking that the books have not decided: if it is what the hold is paying, the key is
    /// kept beside it. Before that is known, a key must not be bound to what is already over.
    /// With it nothing is begun: a hold that is `Held` by now has this booking behind it.
    pub joins: Option<BookingId>,
}

/// The answer to [`Pay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paid {
    /// `Held → Paying` by this call: the command is the caller's to append.
    Begun(Box<PlaceBooking>),
    /// It was `Paying` before, with this command. `keyed`: this very key began it.
    Live {
        command: Box<PlaceBooking>,
        keyed: bool,
    },
    /// This booking came of it before: the key made it, or it bought the places, or it is what the
    /// caller wanted to join and the hold no longer pays.
    Before(BookingId),
    Expired,
    NotHolder,
    NotFound,
    Mismatch,
}

/// What an outcome did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Applied {
    Done,
    /// A replay: it was done before, or there was nothing to do.
    Already,
    /// The seats are in another state than the outcome expects: reload them from the record.
    Unexpected,
}

/// What the record says of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    Sold(BookingId, AccountId),
    Paying(Box<PlaceBooking>),
    /// Nobody has a claim, and this booking has none any more.
    Unclaimed(BookingId),
}

impl Truth {
    /// The booking that has the place, or that lost its claim.
    pub fn booking(&self) -> &BookingId {
        match self {
            Self::Sold(booking, _) | Self::Unclaimed(booking) => booking,
            Self::Paying(command) => &command.booking_id,
        }
    }
}

/// Which holds to show.
#[derive(Debug, Clone)]
pub enum Find {
    Hold(HoldId),
    /// Those of an account that are live.
    Account(AccountId),
    /// The one that a key of `lock` made or found, whatever became of it.
    Key {
        account: AccountId,
        key: String,
    },
}

/// A whole copy, as recovery makes it from the record. Sales come first, then the holds in turn:
/// one that is `Held` and does not get all its places is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeatsCopy {
    pub sold: Vec<(u32, BookingId, AccountId)>,
    pub holds: Vec<HoldRecord>,
}

/// The answer to swapping a copy in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadOutcome {
    Swapped,
    /// Not swapped: the store's copy is as new already, or newer.
    NotNewer,
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Holds that ended, and keys that were forgotten.
    pub ended: usize,
    /// Commands past their deadline, leased to the caller: nobody else gets them before another
    /// deadline length is over.
    pub overdue: Vec<PlaceBooking>,
    pub counts: Counts,
    /// Holds that are held or being paid.
    pub holds: u64,
}

/// Every place at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatSnapshot {
    /// Grows when something changed, over every generation.
    pub version: u64,
    /// One letter a place in layout order, see [`SeatState`](crate::SeatState).
    pub places: Vec<u8>,
    pub counts: Counts,
}

/// The holds of visitors. As in the other two seams of the store, every method that takes a
/// [`CopyRef`] answers [`Fenced::Lost`] when the copy bears another generation, frees what has
/// expired, then answers, all in one step; each touches the keys of one event only. All may be
/// called again after an error.
#[async_trait]
pub trait SeatHolds: Send + Sync {
    /// `Free → Held`: all places or none.
    async fn lock(&self, at: &CopyRef, request: &Lock) -> Result<Fenced<Locked>, StoreError>;

    /// `Held → Free` by the holder.
    async fn release(
        &self,
        at: &CopyRef,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<Fenced<ReleaseAnswer>, StoreError>;

    /// `Held → Paying`, or what came of the hold before.
    async fn pay(&self, at: &CopyRef, request: &Pay) -> Result<Fenced<Paid>, StoreError>;

    /// `Paying → Held`, as if it had never been paid: for a command that was surely not appended.
    /// False when it is not being paid by this booking, or somebody else may have appended it.
    async fn unpay(&self, at: &CopyRef, booking: &BookingId) -> Result<Fenced<bool>, StoreError>;

    async fn find(&self, at: &CopyRef, which: &Find)
    -> Result<Fenced<Vec<HoldRecord>>, StoreError>;
}

/// What the loops do to the seats, and what the seat map reads of them.
#[async_trait]
pub trait SeatUpkeep: Send + Sync {
    /// `Paying → Sold | Held | Free` and `Sold → Free`, as the outcome says.
    async fn apply(
        &self,
        at: &CopyRef,
        outcome: &BookingOutcome,
    ) -> Result<Fenced<Applied>, StoreError>;

    /// Sets places to what the record says: a live claim wins over what is there; without one only
    /// what names the booking that lost its claim is freed.
    async fn reload(&self, at: &CopyRef, places: &[(u32, Truth)])
    -> Result<Fenced<()>, StoreError>;

    /// Ends up to `max` expired holds and leases up to `max` overdue commands.
    async fn sweep(&self, at: &CopyRef, max: usize) -> Result<Fenced<Swept>, StoreError>;

    /// True when holds of the event may be held or being paid, whoever made them: somebody must
    /// sweep it. Of any generation.
    async fn has_holds(&self, event: &Event) -> Result<bool, StoreError>;

    async fn snapshot(&self, at: &CopyRef) -> Result<Fenced<SeatSnapshot>, StoreError>;
}

/// What recovery needs.
#[async_trait]
pub trait SeatCopies: Send + Sync {
    /// Whether another node may be loading a copy right now.
    fn is_shared(&self) -> bool;

    /// Holds that outlive a loss of the event's copy, oldest first, once everything that was begun
    /// before is settled. A copy of a generation before `generation` is lost from now on. A store
    /// that keeps nothing of its own has none.
    async fn surviving_holds(
        &self,
        event: &Event,
        generation: u64,
    ) -> Result<Vec<HoldRecord>, StoreError>;

    /// Swaps a whole copy in under the generation of `at`, unless the store's is as new.
    async fn load(&self, at: &CopyRef, copy: SeatsCopy) -> Result<LoadOutcome, StoreError>;
}

/// A backend: the copies of all events behind the three seams.
pub trait SeatStore: SeatHolds + SeatUpkeep + SeatCopies {}

impl<T: SeatHolds + SeatUpkeep + SeatCopies> SeatStore for T {}
