//! The handlers: each authenticates, parses, makes one call into the next stage, and answers.
pub(crate) mod auth;
pub(crate) mod bookings;
pub(crate) mod event_form;
pub(crate) mod events;
pub(crate) mod holds;
pub(crate) mod meta;
pub(crate) mod queue;
pub(crate) mod stream;
pub(crate) mod tickets;
