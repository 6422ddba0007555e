//! `tidegate config` and `tidegate openapi`: what is in force, and what is served.
use super::print;
use crate::Failure;
use crate::config::{Configuration, without_password, without_secret};
use anyhow::Context;
use std::fmt::Write;
use toml::Value;

/// The effective configuration, a key a line, with where each value came from. Secrets live in
/// files and in the environment, never in the configuration; passwords in URLs and
/// properties are hidden.
pub(crate) fn show_config(config: &Configuration) -> Result<(), Failure> {
    let mut text = String::new();
    for (key, value, origin) in config.layers.iter() {
        let shown = shown(value);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key} = {shown}  # {}", origin.as_str());
    }
    print(&text)
}

/// The OpenAPI document that a server with this configuration serves at `/openapi.json`.
pub(crate) fn openapi(config: &Configuration) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&ingress::document(&config.ingress))
        .context("writing the OpenAPI document")?;
    print(&(text + "\n"))
}

/// A value without what is secret in it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(&without_password(text)),
        Value::Array(items) => {
            let item = |item: &Value| match item.as_str() {
                Some(text) => quoted(&without_secret(text)),
                None => item.to_string(),
            };
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_) => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
