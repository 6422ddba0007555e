//! The contracts of every record on a real Postgres, and what only this backend has to show.
mod contract;
