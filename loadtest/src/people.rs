//! The simulated people: each one a cheap task that knows only what HTTP tells it.
mod line;
mod mischief;
mod person;
mod plan;
mod sale;
mod seats;
mod shop;
mod weather;

pub(crate) use person::Person;
pub(crate) use plan::{Persona, Plan, plans};
pub(crate) use sale::Sale;
pub(crate) use weather::Weather;
