//! The scripts, put together from their parts: the time, the copy, the question.
use allocator::store::At;
use ledger::Timestamp;
use redis_client::Script;

const COPY: &str = include_str!("copy.lua");
const PAYMENTS: &str = include_str!("payments.lua");

/// Where scripts take the time from. A server's own script has no way to be told it.
#[derive(Clone, Copy)]
pub(super) struct Time {
    source: &'static str,
    /// What scripts are told, if they are: it is their last argument.
    pub(super) told: fn(&At) -> Option<Timestamp>,
}

impl Time {
    pub(super) const SERVER: Self =
        Self { source: include_str!("time_server.lua"), told: |_| None };
    #[cfg(test)]
    pub(super) const ASKED: Self =
        Self { source: include_str!("time_asked.lua"), told: |at| Some(at.now) };
}

/// One script a question.
pub(super) struct Scripts {
    pub(super) now: Script,
    pub(super) lock: Script,
    pub(super) release: Script,
    pub(super) pay: Script,
    pub(super) unpay: Script,
    pub(super) apply: Script,
    pub(super) reload: Script,
    pub(super) sweep: Script,
    pub(super) find: Script,
    pub(super) snapshot: Script,
    pub(super) lose: Script,
    pub(super) swap: Script,
}

impl Scripts {
    pub(super) fn new(time: Time) -> Self {
        let question = |parts: &[&str]| Script::new([&[time.source], parts].concat().join("\n"));
        Self {
            now: question(&["return now"]),
            lock: question(&[COPY, include_str!("lock.lua")]),
            release: question(&[COPY, include_str!("release.lua")]),
            pay: question(&[COPY, PAYMENTS, include_str!("pay.lua")]),
            unpay: question(&[COPY, include_str!("unpay.lua")]),
            apply: question(&[COPY, include_str!("apply.lua")]),
            reload: question(&[COPY, PAYMENTS, include_str!("reload.lua")]),
            sweep: question(&[COPY, include_str!("plain.lua"), include_str!("sweep.lua")]),
            find: question(&[COPY, include_str!("find.lua")]),
            snapshot: question(&[COPY, include_str!("snapshot.lua")]),
            lose: Script::new(include_str!("lose.lua")),
            swap: Script::new(include_str!("swap.lua")),
        }
    }
}
