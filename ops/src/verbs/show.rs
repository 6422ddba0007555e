//! `tidegate config` and `tidegate openapi`: what is in force, and what is served.
use super::print;
use crate::Failure;
use crate::config::{Configuration, without_password};
use anyhow::Context;
use std::fmt::Write;

/// The effective configuration, a key a line, with where each value came from. Secrets live in
/// files and in the environment, never in the configuration; a URL's password is hidden.
pub(crate) fn show_config(config: &Configuration) -> Result<(), Failure> {
    let mut text = String::new();
    for (key, value, origin) in config.layers.iter() {
        let shown =
            value.as_str().map_or_else(|| value.to_string(), |url| quoted(&without_password(url)));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key} = {shown}  # {}", origin.as_str());
    }
    print(&text)
}

/// The OpenAPI document that the server also serves at `/openapi.json`.
pub(crate) fn openapi() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&ingress::document())
        .context("writing the OpenAPI document")?;
    print(&(text + "\n"))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
