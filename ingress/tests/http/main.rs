//! The wire contract on real sockets, against the stages composed in this process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod client;
mod faulty_log;
mod fixture;
mod schema;

mod accounts;
mod bookings;
mod connections;
mod documents;
mod events;
mod idempotency;
mod limits;
mod parsing;
mod queue;
mod seats;
mod spans;
mod tickets;
