//! The allocator: one seat, one holder.
mod config;
mod error;
mod hold;
mod seats;

pub use config::Config;
pub use error::Error;
pub use hold::{SeatHold, Wish};
pub use seats::{
    BookAnswer, BookRequest, BookTarget, Keyed, LockAnswer, LockRequest, ReleaseAnswer,
    SeatAllocator, SeatsShown,
};
