//! The contract of the seat store as a test suite.
