//! The whole system from outside: the real executable, real sockets, real files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod harness;
mod prometheus;
mod servers;
mod shared;

mod away;
mod distributed;
mod durability;
mod k6;
mod monitoring;
mod nodes;
mod operator;
mod sale;
mod spike;
mod stack;
mod walk;
