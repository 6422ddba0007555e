//! The waiting room: who may enter, and when. It knows nothing of seats.
//!
//! A visitor joins a queue and gets a [`QueueToken`], watches the [`Board`], and when called
//! claims an [`AdmissionPass`]. The [`Pacer`] calls; the [`SlotEnder`] frees what was used.
mod board;
mod config;
mod error;
mod pass;
mod pressure;
mod room;
mod standing;
mod token;

mod pacer;
mod slot_ender;

mod line;
/// What a queue store outside this crate builds on: a line just loaded, as plain data.
pub mod backend {
    pub use crate::line::{CallImage, CallsImage, Image, SlotImage};
}
mod store;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod metrics;

pub use board::Board;
pub use config::Config;
pub use error::Error;
pub use pacer::Pacer;
pub use pass::{AdmissionPass, IssuedPass, PASS_TYPE};
pub use pressure::{Pressure, Pressures};
pub use room::{ClaimAnswer, JoinAnswer, Parts, PassCheck, WaitingRoom, WalkIn};
pub use slot_ender::SlotEnder;
pub use standing::{Eta, PlaceState, Standing};
pub use store::{
    Ask, Change, Grant, Kept, Loaded, LocalQueueStore, Mark, NotYet, Place, QueueStore, Reserve,
    Reserved, Settlement, Snapshot, Taken,
};
pub use token::QueueToken;
