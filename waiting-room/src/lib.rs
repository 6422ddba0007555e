//! The waiting room: who may enter, and when. It knows nothing of seats.
//!
//! A visitor joins a queue and gets a [`QueueToken`], watches the [`QueueStatus`], and when called
//! claims an [`AdmissionPass`]. The [`Pacer`] calls; the [`SlotEnder`] frees what was used.
mod config;
mod error;
mod outlook;
mod pass;
mod pressure;
mod queue_status;
mod room;
mod standing;
mod token;
mod wait;

mod pacer;
mod slot_ender;

mod line;
/// What a queue store outside this crate builds on: a line just loaded, as plain data, and the
/// numbers that the pure core keeps to.
pub mod backend {
    pub use crate::line::{BOUNDS, CallImage, CallsImage, Image, SlotImage};
}
mod store;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod metrics;

pub use config::Config;
pub use error::Error;
pub use pacer::Pacer;
pub use pass::{AdmissionPass, IssuedPass, PASS_TYPE};
pub use pressure::{Pressure, Pressures};
pub use queue_status::QueueStatus;
pub use room::{ClaimAnswer, JoinAnswer, Parts, PassCheck, WaitingRoom, WalkIn};
pub use slot_ender::SlotEnder;
pub use standing::{PlaceState, Standing};
pub use store::{
    ClaimOutcome, CopyRef, ENDS_SHOWN, Grant, LocalQueueStore, NotYet, PlaceStatus, QueueLoad,
    QueueSnapshot, QueueStore, Reserve, Reserved, SettingsChange, SlotAnswer, SlotRequest,
};
pub use token::QueueToken;
pub use wait::Eta;
