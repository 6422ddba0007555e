//! The whole system from outside: the real executable, real sockets, real files.
mod harness;

mod durability;
mod operator;
mod sale;
mod spike;
mod walk;
