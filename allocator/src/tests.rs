//! The handle and its loops on a whole embedded ledger.
mod booking;
mod nodes;
mod recovery;
mod showing;
mod venue;
