//! The scripts: the pure core of a queue in Lua, and the keys that they work on.
use ledger::QueueId;
use redis_client::Script;

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

/// A script with the parts of the core that it needs before it, each after those it needs.
macro_rules! task {
    ($doing:literal, $($file:literal),+) => {
        Task {
            doing: $doing,
            script: Script::new(concat!(include_str!("frame.lua"), $(include_str!($file)),+)),
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
                "numbers.lua", "calls.lua", "slots.lua", "pace.lua", "place.lua", "take.lua"),
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
    "line", "slots", "ends", "kept", "accounts", "ahead", "calls", "call", "doubtful", "left",
    "knocks", "asked", "told",
];

/// The keys of a queue, which every script declares all of.
pub(super) fn keys(queue: &QueueId) -> Vec<String> {
    NAMES.iter().map(|name| format!("tidegate:queue:{{{queue}}}:{name}")).collect()
}
