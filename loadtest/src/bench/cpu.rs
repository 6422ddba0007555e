//! The processor time of a process, as the kernel counts it.
use anyhow::Context;
use std::time::Duration;

/// `/proc` tells ticks of a hundredth of a second, whatever the kernel's own are.
const TICK: Duration = Duration::from_millis(10);

/// Where the user and the system time of a process stand after its name …
const OWN_AT: usize = 11;
/// … and those of its children.
const CHILDREN_AT: usize = 13;

/// User and system time of a process so far.
pub(super) fn used(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse(&stat, OWN_AT).with_context(|| format!("{path} is not as expected"))
}

/// User and system time of our children that have ended and were waited for.
pub(super) fn used_by_ended_children() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("reading /proc/self/stat")?;
    parse(&stat, CHILDREN_AT).context("/proc/self/stat is not as expected")
}

/// Adds two times in a row. The name, in parentheses, may hold anything, so it is counted from
/// there.
fn parse(stat: &str, at: usize) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(at).map(str::parse::<u32>);
    Some(TICK * fields.next()?.ok()?.checked_add(fields.next()?.ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added() {
        for (stat, expected) in [
            ("7 (tide gate) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0", Some(3_000)),
            ("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 1 0 0 0 20 0", Some(10)),
            ("7 (a) S 1", None),
        ] {
            assert_eq!(parse(stat, OWN_AT), expected.map(Duration::from_millis), "{stat}");
        }
        let children = "7 (a) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 3 4 20 0";
        assert_eq!(parse(children, CHILDREN_AT), Some(Duration::from_millis(70)));
        assert!(used(std::process::id()).is_ok() && used_by_ended_children().is_ok());
    }
}
