//! The verbs beside `serve`: each opens what it needs, does one thing, and may run beside a live
//! `serve`.
mod account;
mod audit;
mod event;
mod gateway;
mod keys;
mod replay;
mod show;

pub(crate) use account::account;
pub(crate) use audit::audit;
pub(crate) use event::event;
pub(crate) use gateway::gateway;
pub(crate) use keys::keys;
pub(crate) use replay::replay;
pub(crate) use show::{openapi, show_config};

use crate::Failure;
use crate::config::{Configuration, without_password};
use crate::stores::Stores;
use ledger::IdSource;
use std::fmt::Write as _;
use std::io::Write;
use toml::Value;

/// Brings every database to this version's schema, and says which they are.
pub(crate) async fn migrate(config: &Configuration) -> Result<(), Failure> {
    let data = config.data.join("tidegate.db");
    let was_there = data.exists();
    // Opening migrates.
    let stores = Stores::open(config, &IdSource::system()).await?;
    stores.close().await;
    let mut text = String::new();
    for key in ["books", "bookings", "views", "queue", "seats"] {
        let value = config.layers.get(&format!("stores.{key}")).and_then(Value::as_str);
        let url = without_password(value.unwrap_or_default());
        let url = if url.is_empty() { "with the books" } else { &url };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "stores.{key} {url} is at this version's schema");
    }
    if !was_there && data.exists() {
        let _ = writeln!(text, "made {}", data.display());
    }
    print(&text)
}

/// Writes lines to stdout; a reader that went away ends the verb quietly.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(anyhow::Error::new(error).context("writing to stdout")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
