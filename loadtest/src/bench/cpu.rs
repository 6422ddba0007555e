//! The processor time of a process, as the kernel counts it.
use anyhow::Context;
use std::time::Duration;

/// `/proc` tells ticks of a hundredth of a second, whatever the kernel's own are.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process so far.
pub(super) fn used(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse(&stat).with_context(|| format!("{path} is not as expected"))
}

fn parse(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th after.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u32>);
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
            assert_eq!(parse(stat), expected.map(Duration::from_millis), "{stat}");
        }
        assert!(used(std::process::id()).is_ok());
    }
}
