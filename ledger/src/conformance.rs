//! The contract of each seam as a test suite, for the tests of every backend.
mod embedded;

pub use embedded::TestLedger;

pub mod admissions;
pub mod audit;
pub mod events;
pub mod journal;
pub mod log;
pub mod people;
pub mod purchases;
pub mod sample;
pub mod views;
