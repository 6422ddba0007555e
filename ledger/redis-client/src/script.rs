//! A Lua script with the hash that servers know it by.
use ::redis::Cmd;

/// A script; clones are as good as the original.
#[derive(Debug, Clone)]
pub struct Script {
    source: String,
    hash: String,
}

impl Script {
    pub fn new(source: impl Into<String>) -> Self {
        let source = source.into();
        let hash = ::redis::Script::new(&source).get_hash().to_owned();
        Self { source, hash }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// SHA-1 of the source in hexadecimal digits, as `EVALSHA` takes it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub(super) fn by_hash(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.hash, keys, args)
    }

    /// Loads the script too, on the very node that has the keys.
    pub(super) fn by_source(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        call("EVAL", &self.source, keys, args)
    }
}

fn call(how: &str, script: &str, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
    let parts = keys.iter().chain(args);
    let bytes = parts.clone().map(|part| part.len()).sum::<usize>();
    let mut cmd = Cmd::with_capacity(
        parts.count().saturating_add(3),
        bytes.saturating_add(script.len()).saturating_add(16),
    );
    cmd.arg(how).arg(script).arg(keys.len());
    for part in keys.iter().chain(args) {
        cmd.arg(*part);
    }
    cmd
}
