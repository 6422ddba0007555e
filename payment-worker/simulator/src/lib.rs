//! The simulated payment gateway: it moves no money but keeps books like a real one, in a log of its
//! own, in this process or behind HTTP.
mod rows;
mod server;
mod simulated;
mod simulation;
#[cfg(test)]
mod tests;

pub use server::serve;
pub use simulated::{MIGRATIONS, SimulatedGateway};
pub use simulation::{InvalidSimulation, Simulation};
