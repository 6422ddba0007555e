//! The simulated people: each one a cheap task that knows only what HTTP tells it.
mod fault_history;
mod line;
mod mischief;
mod person;
mod plan;
mod sale;
mod seats;
mod shop;

pub(crate) use fault_history::FaultHistory;
pub(crate) use person::Person;
pub(crate) use plan::{Persona, Plan, plans};
pub(crate) use sale::{Refusals, Sale};
