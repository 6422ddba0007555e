//! The allocator: one seat, one holder.
//!
//! Seats go `Free → Held → Paying → Sold | Held | Free`, and `Sold → Free` by a cancel. The pure
//! core (`grid`, `best`, `transitions`, `outcomes`) decides; a [`SeatStore`] keeps one copy of it
//! per event; [`SeatAllocator`] calls the store, rebuilds a copy that was lost, and puts bookings
//! on the log. The copy only thins out contention: the ledger's claims decide who owns a seat.
mod config;
mod error;
mod hold;
mod request;

mod best;
mod event_seats;
mod grid;
mod outcomes;
mod rebuild;
mod record;
mod row;
mod transitions;

pub mod store;
/// What a seat store outside this crate builds on: the pure core's copy of an event.
pub mod backend {
    pub use crate::event_seats::{CopyPart, EventSeats, OVER_SECONDS, Owner, Reads, version_of};
    pub use crate::record::KEYS_MAX;
}

mod book;
mod recovery;
mod seat_map;
mod seats;
mod showing;

mod apart;
mod applier;
mod sweeper;

pub mod metrics;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use apart::Left;
pub use applier::OutcomeApplier;
pub use config::Config;
pub use error::Error;
pub use grid::{Counts, SeatState};
pub use hold::{SeatHold, Wish};
pub use record::{HoldPayment, HoldRecord, HoldState};
pub use request::{
    Availability, BookAnswer, BookRequest, BookTarget, Keyed, LockAnswer, LockRequest,
    ReleaseAnswer, SeatsShown,
};
pub use seats::{Parts, SeatAllocator};
pub use store::{LocalSeatStore, SeatCopies, SeatHolds, SeatStore, SeatUpkeep};
pub use sweeper::HoldSweeper;
