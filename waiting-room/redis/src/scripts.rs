//! The scripts: the pure core of a queue in Lua, and the keys that they work on.
use ledger::QueueId;
use redis_client::Script;
use waiting_room::backend::BOUNDS;

/// A script and what it is for.
pub(super) struct Task {
    pub(super) doing: &'static str,
    pub(super) script: Script,
}

pub(super) struct Tasks {
    pub(super) reserve: Task,
    pub(super) propose: Task,
    pub(super) publish: Task,
    pub(super) take: Task,
    pub(super) settle: Task,
    pub(super) look: Task,
    pub(super) configure: Task,
    pub(super) swap_in: Task,
}

/// What only the scripts keep to. The other bounds are the pure core's, see [`BOUNDS`].
const SCRIPT_BOUNDS: [(&str, u64); 5] = [
    // The most slots that one call forgets, so that none takes long.
    ("FORGET_MAX", 100),
    // How long a failure is known, so that one that is reported twice counts once.
    ("FAILURE_MILLIS", 10_000),
    // The most nodes whose last reservation is remembered.
    ("NODES_MAX", 256),
    // The most arguments that one command is given: Lua's stack holds twice as many.
    ("ARGUMENTS_MAX", 4_000),
    // How many ends of slots a look tells.
    ("ENDS_SHOWN", waiting_room::ENDS_SHOWN as u64),
];

/// The bounds, as every script begins.
fn prelude() -> String {
    let bounds = BOUNDS.iter().chain(&SCRIPT_BOUNDS);
    bounds.map(|(name, value)| format!("local {name} = {value}\n")).collect()
}

/// A script with the parts of the core that it needs before it, each after those it needs.
macro_rules! task {
    ($doing:literal, $($file:literal),+) => {
        Task {
            doing: $doing,
            script: Script::new(
                prelude() + concat!(include_str!("frame.lua"), $(include_str!($file)),+),
            ),
        }
    };
}

impl Tasks {
    #[rustfmt::skip]
    pub(super) fn new() -> Self {
        Self {
            reserve: task!("reserving numbers",
                "numbers.lua", "calls.lua", "slots.lua", "pace.lua", "reserve.lua"),
            propose: task!("proposing a step",
                "numbers.lua", "calls.lua", "slots.lua", "pace.lua", "propose.lua"),
            publish: task!("publishing a step",
                "numbers.lua", "calls.lua", "slots.lua", "pace.lua", "publish.lua"),
            take: task!("taking a slot",
                "numbers.lua", "calls.lua", "slots.lua", "pace.lua", "place.lua", "asking.lua",
                "take.lua"),
            settle: task!("settling a slot",
                "numbers.lua", "calls.lua", "slots.lua", "settle.lua"),
            look: task!("looking at a queue",
                "numbers.lua", "calls.lua", "slots.lua", "place.lua", "look.lua"),
            configure: task!("configuring a queue", "calls.lua", "slots.lua", "configure.lua"),
            swap_in: task!("loading a queue", "calls.lua", "slots.lua", "swap_in.lua"),
        }
    }
}

/// Places in KEYS, from 1, as `frame.lua` names them.
pub(super) const LINE: usize = 1;
pub(super) const SLOTS: usize = 2;
pub(super) const ENDS: usize = 3;
pub(super) const KEPT: usize = 4;
pub(super) const ACCOUNTS: usize = 5;
pub(super) const AHEAD: usize = 6;
pub(super) const CALLS: usize = 7;
pub(super) const CALL: usize = 8;
pub(super) const DOUBTFUL: usize = 9;

/// The names of a queue's keys, in the order of KEYS. One hash tag: one slot of a cluster.
const NAMES: [&str; 13] = [
    "line",
    "slots",
    "ends",
    "kept",
    "accounts",
    "ahead",
    "calls",
    "call",
    "doubtful",
    "left",
    "retrying",
    "reservations",
    "failures",
];

/// The keys of a queue, which every script declares all of.
pub(super) fn keys(queue: &QueueId) -> Vec<String> {
    NAMES.iter().map(|name| format!("tidegate:queue:{{{queue}}}:{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    fn lua_files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                lua_files(&path, found);
            } else if path.extension().is_some_and(|end| end == "lua") {
                found.push(path);
            }
        }
    }

    /// Numbers a file writes itself, but for places in a list and milliseconds of a second.
    fn own_numbers(source: &str) -> Vec<&str> {
        let code = source.lines().map(|line| line.split("--").next().unwrap_or(""));
        // Every other piece is text.
        let code = code.flat_map(|line| line.split('\'').step_by(2));
        let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let numbers = words.filter(is_number);
        numbers.filter(|word| !matches!(word.parse(), Ok(0..20 | 1_000_u64))).collect()
    }

    #[test]
    fn no_script_has_a_bound_of_its_own() {
        assert_eq!(own_numbers("local A = 25 -- 30\nx = 3 * 1000 + b2 .. 7e3"), ["25", "7e3"]);
        let mut files = Vec::new();
        lua_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        assert!(files.len() >= 12, "{files:?}");
        for file in files {
            let source = std::fs::read_to_string(&file).unwrap();
            assert_eq!(own_numbers(&source), [""; 0], "{}", file.display());
        }
    }

    #[test]
    fn every_bound_is_used_by_a_script() {
        let mut files = Vec::new();
        lua_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let read = |file: &PathBuf| std::fs::read_to_string(file).unwrap();
        let all: String = files.iter().map(read).collect();
        for (name, _) in BOUNDS.iter().chain(&SCRIPT_BOUNDS) {
            assert!(all.contains(name), "{name}");
        }
    }
}
