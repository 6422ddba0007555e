//! The payment worker: from intent to settled.
//!
//! It reads booking commands, has the ledger claim the seats and commit the attempt, asks the
//! gateway for the money, and has the ledger settle. What money means is decided in
//! [`ledger::purchase`]; here is only who asks whom, when, and what happens when nobody answers.
mod config;
mod error;
pub mod metrics;

mod parts;

mod worker;

mod opening;
mod segment;
mod window;

mod settling;

mod asking;
pub mod gateway;

mod publishing;

mod reconciler;

mod gateway_log;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use config::{Config, InvalidConfig};
pub use error::Error;
pub use gateway_log::gateway_log;
pub use parts::Parts;
pub use reconciler::Reconciler;
pub use worker::PaymentWorker;
