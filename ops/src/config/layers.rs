//! Layers of TOML: each value remembers which layer gave it.
use anyhow::{Context, anyhow, bail};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Environment names that are not configuration keys: they are secrets read at first start.
const SECRETS: [&str; 2] = ["TIDEGATE_ADMIN_USERNAME", "TIDEGATE_ADMIN_PASSWORD"];

/// What the scripts under `ops/dev` go by.
const DEV_STACK: &str = "TIDEGATE_DEV_";

/// Which layer a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Default,
    File,
    Environment,
    Flag,
    /// The profile demands it, whatever the layers say.
    Profile,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
            Self::Profile => "profile",
        }
    }
}

/// Dotted keys with their values and origins.
#[derive(Debug, Default)]
pub struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    /// The layer beneath all others; it names every key that exists.
    pub fn defaults(text: &str) -> anyhow::Result<Self> {
        let table: Table = text.parse().context("reading the built-in defaults")?;
        let mut leaves = Vec::new();
        flatten("", &table, &mut leaves);
        let values = leaves.into_iter().map(|(key, value)| (key, (value, Origin::Default)));
        Ok(Self { values: values.collect() })
    }

    /// Lays a file over what is there; a key that does not exist is an error.
    pub fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the configuration {}", path.display()))?;
        let table = parse(&text).with_context(|| format!("{} is not TOML", path.display()))?;
        let mut leaves = Vec::new();
        flatten("", &table, &mut leaves);
        for (key, value) in leaves {
            let Some(slot) = self.values.get_mut(&key) else {
                bail!("{}: unknown key {key:?}", path.display());
            };
            *slot = (value, Origin::File);
        }
        Ok(())
    }

    /// Lays `TIDEGATE_*` variables over what is there: a key's path in capitals, dots as `_`.
    pub fn add_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<()> {
        let names: BTreeMap<String, String> =
            self.values.keys().map(|key| (variable(key), key.clone())).collect();
        for (name, text) in variables.filter(|(name, _)| name.starts_with("TIDEGATE_")) {
            if SECRETS.contains(&name.as_str()) || name.starts_with(DEV_STACK) {
                continue;
            }
            let slot = names.get(&name).and_then(|key| self.values.get_mut(key));
            let Some(slot) = slot else {
                bail!("unknown environment variable {name}: `tidegate config` lists the keys");
            };
            let value = parse_like(&slot.0, &text)
                .with_context(|| format!("the environment variable {name} cannot be read"))?;
            *slot = (value, Origin::Environment);
        }
        Ok(())
    }

    /// Lays what the profile demands over everything.
    pub fn set_by_profile(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.to_owned(), (value.into(), Origin::Profile));
    }

    /// Lays one flag over everything.
    pub fn set_flag(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.to_owned(), (value.into(), Origin::Flag));
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|(value, _)| value)
    }

    pub fn origin(&self, key: &str) -> Option<Origin> {
        self.values.get(key).map(|(_, origin)| *origin)
    }

    /// Every key with its value and origin, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value, Origin)> {
        self.values.iter().map(|(key, (value, origin))| (key.as_str(), value, *origin))
    }

    /// Reads the layers into a structure; the error names the key.
    pub fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let mut root = Table::new();
        for (key, (value, _)) in &self.values {
            let mut table = &mut root;
            let mut parts = key.split('.').peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    table.insert(part.to_owned(), value.clone());
                    break;
                }
                let slot = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
                let Value::Table(inner) = slot else {
                    bail!("{key:?} is both a value and a table")
                };
                table = inner;
            }
        }
        Value::Table(root).try_into().map_err(|error: toml::de::Error| {
            let place = error.to_string();
            let place = place.lines().skip(1).collect::<Vec<_>>().join(" ");
            anyhow!("{} {place}", without_value(error.message()))
        })
    }
}

/// Reads TOML; an error says what is wrong and in which line, and never shows the line: a quote that
/// was not closed has a password behind it as often as anything else.
fn parse(text: &str) -> anyhow::Result<Table> {
    text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        anyhow!("line {line}: {}", error.message())
    })
}

/// An error about a value of the wrong kind, without the value.
fn without_value(message: &str) -> String {
    const BEFORE: &str = "string \"";
    const AFTER: &str = "\", expected";
    match (message.find(BEFORE), message.rfind(AFTER)) {
        (Some(from), Some(to)) if from + BEFORE.len() <= to => {
            format!("{}…{}", &message[..from + BEFORE.len()], &message[to..])
        }
        _ => message.to_owned(),
    }
}

/// The environment's name for a key.
fn variable(key: &str) -> String {
    format!("TIDEGATE_{}", key.replace('.', "_").to_uppercase())
}

fn flatten(prefix: &str, table: &Table, into: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, into),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => into.push((key, value.clone())),
        }
    }
}

/// Reads text as the kind of value that stands there; a list may be given with commas.
fn parse_like(old: &Value, text: &str) -> anyhow::Result<Value> {
    Ok(match old {
        Value::Integer(_) => Value::Integer(text.parse().context("it must be a whole number")?),
        Value::Boolean(_) => Value::Boolean(text.parse().context("it must be true or false")?),
        Value::Float(_) => Value::Float(text.parse().context("it must be a number")?),
        Value::Array(_) if text.trim_start().starts_with('[') => {
            let table = parse(&format!("v = {text}")).context("it must be a TOML list")?;
            table.get("v").cloned().context("it must be a TOML list")?
        }
        Value::Array(_) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
        }
        Value::String(_) | Value::Datetime(_) | Value::Table(_) => Value::String(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "a = 1\nlist = []\n[b]\nc = \"x\"\nd_e = true\n";

    fn with_environment(pairs: &[(&str, &str)]) -> anyhow::Result<Layers> {
        let mut layers = Layers::defaults(DEFAULTS)?;
        layers.add_environment(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())))?;
        Ok(layers)
    }

    #[test]
    fn later_layers_win_and_remember_where_they_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, "[b]\nc = \"file\"\nd_e = false\n").unwrap();
        let mut layers = Layers::defaults(DEFAULTS).unwrap();
        layers.add_file(&path).unwrap();
        let variables = [("TIDEGATE_B_D_E".to_owned(), "true".to_owned())];
        layers.add_environment(variables.into_iter()).unwrap();
        layers.set_flag("a", 7);
        let table: Table = layers.read().unwrap();
        assert_eq!(table["a"].as_integer(), Some(7));
        assert_eq!(table["b"]["c"].as_str(), Some("file"));
        assert_eq!(table["b"]["d_e"].as_bool(), Some(true));
        let origins: Vec<_> = layers.iter().map(|(_, _, origin)| origin.as_str()).collect();
        assert_eq!(origins, ["flag", "file", "environment", "default"]);
    }

    #[test]
    fn unknown_keys_and_wrong_kinds_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, "[b]\nz = 1\n").unwrap();
        let error = Layers::defaults(DEFAULTS).unwrap().add_file(&path).unwrap_err();
        assert!(error.to_string().contains("\"b.z\""), "{error}");
        for (name, value) in [("TIDEGATE_NOPE", "1"), ("TIDEGATE_A", "x"), ("TIDEGATE_B_D_E", "2")]
        {
            let error = with_environment(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn errors_never_show_a_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, "a = 1\n[b]\nc = \"postgres://u:hushhush@h/d\nd_e = true\n").unwrap();
        let error = Layers::defaults(DEFAULTS).unwrap().add_file(&path).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("line 3") && !text.contains("hush"), "{text}");
        let error =
            with_environment(&[("TIDEGATE_LIST", "[\"sasl.password=hushhush")]).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("TIDEGATE_LIST") && !text.contains("hush"), "{text}");

        #[derive(Debug, serde::Deserialize)]
        struct Numbers {
            #[expect(dead_code, reason = "reading it fails")]
            a: u32,
        }
        let mut layers = Layers::defaults(DEFAULTS).unwrap();
        layers.set_flag("a", "hush\", expected hush");
        let text = format!("{:#}", layers.read::<Numbers>().unwrap_err());
        assert!(text.contains("expected u32") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn secrets_and_lists_are_read_from_the_environment() {
        let given = [("TIDEGATE_ADMIN_PASSWORD", "s"), ("TIDEGATE_LIST", "p, q"), ("OTHER", "1")];
        let table: Table = with_environment(&given).unwrap().read().unwrap();
        assert_eq!(table["list"].as_array().unwrap().len(), 2);
    }
}
