//! The loops against a whole embedded ledger and the simulated gateway.
mod books_under_fault;
mod faults;
mod log_under_fault;
mod turnstile;
mod world;

mod cancelling;
mod crashing;
mod reconciling;
mod selling;
