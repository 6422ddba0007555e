//! The scripts, put together from their parts: bounds, time, the copy, and what each is for.
use super::staged::NEVER_MS;
use allocator::backend::{KEYS_MAX, OVER_SECONDS};
use allocator::store::CopyRef;
use ledger::Timestamp;
use redis_client::Script;

const COPY: &str = concat!(include_str!("batches.lua"), include_str!("copy.lua"));

/// Records that a script frees on its way to what it is for.
const FREED_MAX: u32 = 32;
/// Words that one call of Redis takes from a script, below what Lua can unpack.
const BATCH: u32 = 4_000;
/// How far a search for free seats looks at first, before it reads all of a section.
const WINDOW: u32 = 2_048;

/// Bounds and units, in scripts by these names: each is declared in Rust, and nowhere in Lua.
fn bounds() -> String {
    let over_ms = u64::from(OVER_SECONDS) * 1_000;
    let bounds: [(&str, u64); 7] = [
        ("KEYS_MAX", KEYS_MAX as u64),
        ("OVER_MS", over_ms),
        ("NEVER_MS", NEVER_MS.unsigned_abs()),
        ("FREED_MAX", FREED_MAX.into()),
        ("BATCH", BATCH.into()),
        ("WINDOW", WINDOW.into()),
        ("MILLI", 1_000),
    ];
    let names: Vec<_> = bounds.iter().map(|(name, _)| *name).collect();
    let values: Vec<_> = bounds.iter().map(|(_, value)| value.to_string()).collect();
    format!("local {} = {}", names.join(", "), values.join(", "))
}

/// Where scripts take the time from. A script by the server's time cannot be given another.
#[derive(Clone, Copy)]
pub(super) struct Time {
    source: &'static str,
    /// The time that scripts are given as their last argument, if they are.
    pub(super) argument: fn(&CopyRef) -> Option<Timestamp>,
}

impl Time {
    pub(super) const SERVER: Self =
        Self { source: include_str!("time_server.lua"), argument: |_| None };
    #[cfg(test)]
    pub(super) const GIVEN: Self =
        Self { source: include_str!("time_given.lua"), argument: |at| Some(at.now) };
}

pub(super) struct Scripts {
    pub(super) now: Script,
    pub(super) lock: Script,
    pub(super) pay: Script,
    pub(super) view: Script,
    pub(super) commit: Script,
    pub(super) sweep: Script,
    pub(super) find: Script,
    pub(super) snapshot: Script,
    pub(super) lose: Script,
    pub(super) swap: Script,
}

impl Scripts {
    pub(super) fn new(time: Time) -> Self {
        let bounds = bounds();
        let script =
            |parts: &[&str]| Script::new([&[&bounds, time.source], parts].concat().join("\n"));
        Self {
            now: script(&["return now"]),
            lock: script(&[COPY, include_str!("lock.lua")]),
            pay: script(&[COPY, include_str!("pay.lua")]),
            view: script(&[COPY, include_str!("view.lua")]),
            commit: script(&[COPY, include_str!("commit.lua")]),
            sweep: script(&[COPY, include_str!("plain.lua"), include_str!("sweep.lua")]),
            find: script(&[COPY, include_str!("find.lua")]),
            snapshot: script(&[COPY, include_str!("snapshot.lua")]),
            lose: Script::new(include_str!("lose.lua")),
            swap: Script::new(include_str!("swap.lua")),
        }
    }
}

#[cfg(test)]
mod tests {
    /// Whoever changes a bound changes it in one place.
    #[test]
    fn no_script_declares_a_bound_itself() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let scripts: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|e| e == "lua")).collect();
        assert!(scripts.len() > 5, "the scripts are there");
        for path in scripts {
            let source = std::fs::read_to_string(&path).unwrap();
            for line in source.lines() {
                let code = line.split("--").next().unwrap();
                let words = code.split(|c: char| !c.is_ascii_alphanumeric() && !"_.[".contains(c));
                let long = |word: &&str| {
                    word.len() > 1
                        && word.chars().all(|c| c.is_ascii_digit() || c == '.')
                        && word.starts_with(|c: char| c.is_ascii_digit())
                };
                let found: Vec<_> = words.filter(long).collect();
                assert!(found.is_empty(), "{}: {line}: {found:?}", path.display());
            }
        }
    }
}
