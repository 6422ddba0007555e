//! The handle and its loops on a whole embedded ledger.
mod booking;
mod recovery;
mod showing;
mod venue;
