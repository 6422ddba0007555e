//! The ingress: HTTP in, HTTP out. It decides no business; it parses at the door, asks the next
//! stage once, and turns the answer into HTTP.
mod config;
mod network;

mod activity;
mod connection;
mod framing;
mod head;
mod server;
mod socket;

mod app;
mod cors;
mod cross_site;
mod detach_on_drop;
mod front;
mod limits;
mod request_id;
mod router;
mod routes;

mod body;
mod cookies;
mod exchange;
mod fields;
mod idempotency;
mod json;
mod login;
mod passwords;
mod problem;
mod query;
mod receive;
mod response;
mod rules;
mod schemas;
mod usernames;

mod api;
mod event_cache;
mod openapi;
mod qr;

pub mod metrics;

pub use api::event_form::parse_event;
pub use app::Parts;
pub use config::Config;
pub use login::sign_login;
pub use network::{InvalidNetwork, Network};
pub use openapi::document;
pub use passwords::{PasswordError, check_strong_password, hash_password};
pub use server::Server;
pub use usernames::{FIRST_ADMIN, InvalidUsername, normalise_username};
