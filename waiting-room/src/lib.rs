//! The waiting room: who may enter, and when. It knows nothing of seats.
mod config;
mod error;
mod pass;
mod pressure;
mod room;
mod standing;
mod token;

pub use config::Config;
pub use error::Error;
pub use pass::{AdmissionPass, IssuedPass};
pub use pressure::{Pressure, Pressures};
pub use room::{Board, ClaimAnswer, JoinAnswer, PassCheck, WaitingRoom, WalkIn};
pub use standing::{Eta, PlaceState, Standing};
pub use token::QueueToken;
