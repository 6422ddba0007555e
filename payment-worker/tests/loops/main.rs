//! The loops against a whole embedded ledger and the simulated gateway.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod books_under_fault;
mod faults;
mod log_under_fault;
mod turnstile;
mod world;

mod cancelling;
mod crashing;
mod poison;
mod reconciling;
mod selling;
