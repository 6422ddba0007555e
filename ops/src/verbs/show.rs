//! `tidegate config` and `tidegate openapi`: what is in force, and what is served.
use super::print;
use crate::Failure;
use crate::config::Configuration;
use anyhow::Context;
use std::fmt::Write;

/// The effective configuration, a key a line, with where each value came from. Secrets live in
/// files and in the environment, never in the configuration; a URL's password is hidden.
pub(crate) fn show_config(config: &Configuration) -> Result<(), Failure> {
    let mut text = String::new();
    for (key, value, origin) in config.layers.iter() {
        let shown = value.as_str().map_or_else(|| value.to_string(), |url| quoted(&hidden(url)));
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

/// `scheme://user:password@host` without the password.
fn hidden(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split('/').next().unwrap_or(rest);
    let Some((user, host)) = authority.rsplit_once('@') else { return url.to_owned() };
    let name = user.split(':').next().unwrap_or("");
    let path = rest.strip_prefix(authority).unwrap_or("");
    format!("{scheme}://{name}:…@{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn passwords_in_urls_are_hidden() {
        let table = [
            ("local:", "local:"),
            ("postgres://h/db", "postgres://h/db"),
            ("postgres://u:secret@h:5432/db", "postgres://u:…@h:5432/db"),
            ("postgres://u:p@ss@h/db?x=1", "postgres://u:…@h/db?x=1"),
        ];
        for (url, shown) in table {
            assert_eq!(hidden(url), shown);
        }
    }
}
