//! The contract of each seam as a test suite, for the tests of every backend.
mod embedded;

pub use embedded::{TestLedger, sqlite_ledger, sqlite_ledger_at};

pub mod admissions;
pub mod events;
pub mod journal;
pub mod log;
pub mod people;
pub mod postgres;
pub mod purchases;
pub mod redis;
pub mod sample;
pub mod servers;
pub mod views;
