//! The contract of each seam as a test suite, for the tests of every backend.
pub mod admissions;
pub mod events;
pub mod people;
