//! The waiting room: who may enter, and when. It knows nothing of seats.
mod config;
mod error;
mod line;
mod pass;
mod pressure;
mod room;
mod standing;
mod store;
mod token;

pub use config::Config;
pub use error::Error;
pub use pass::{AdmissionPass, IssuedPass, PASS_TYPE};
pub use pressure::{Pressure, Pressures};
pub use room::{Board, ClaimAnswer, JoinAnswer, PassCheck, WaitingRoom, WalkIn};
pub use standing::{Eta, PlaceState, Standing};
pub use store::{
    Ask, Grant, Kept, Loaded, LocalQueueStore, Mark, NotYet, Place, QueueStore, Reserve, Reserved,
    Settlement, Snapshot, Taken,
};
pub use token::QueueToken;
