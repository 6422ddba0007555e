//! redis-benchmark with a script: every account and every hold a new one.
use allocator_redis::ScriptCall;
use anyhow::{Context, bail, ensure};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;
use tokio::process::Command;

/// What redis-benchmark replaces by twelve random digits, as long as they are.
const RANDOM: &[u8] = b"__rand_int__";
/// Arguments that name the account, the field of the hold, and the hold.
const NEW_EVERY_TIME: [usize; 3] = [2, 3, 4];

/// Runs `count` calls by so many clients that send so many at a time.
pub(super) async fn run(
    port: u16,
    call: &ScriptCall,
    count: u64,
    (clients, pipeline): (u64, u64),
) -> anyhow::Result<()> {
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q"]);
    command.args(["-n", &count.to_string(), "-c", &clients.to_string()]);
    command.args(["-P", &pipeline.to_string(), "-r", "2000000000"]);
    command.args(arguments(call)?).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("running redis-benchmark")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || said.contains("Error") || !complaint.is_empty() {
        bail!("redis-benchmark: {complaint}{said}");
    }
    Ok(())
}

fn arguments(call: &ScriptCall) -> anyhow::Result<Vec<OsString>> {
    let head = ["EVALSHA", &call.hash, &call.keys.len().to_string()].map(OsString::from);
    let keys = call.keys.iter().map(OsString::from);
    let args = call.args.iter().enumerate().map(|(at, arg)| {
        let mut arg = arg.clone();
        if NEW_EVERY_TIME.contains(&at) {
            let kept = arg.len().checked_sub(RANDOM.len()).context("an id is short")?;
            arg.truncate(kept);
            arg.extend_from_slice(RANDOM);
        }
        ensure!(!arg.contains(&0), "an argument has a NUL");
        Ok(OsString::from_vec(arg))
    });
    let args = args.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(head.into_iter().chain(keys).chain(args).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_random_and_stay_as_long() {
        let args = ["1", "86400000", "acc_01JZ8A7Y5N3K2M", "hhold_01JZ8A7Y5N3K2M"];
        let args = args.iter().chain(&["hold_01JZ8A7Y5N3K2M", "x"]);
        let mut call = ScriptCall {
            source: String::new(),
            hash: "abc".into(),
            keys: vec!["{evt}".into()],
            args: args.map(|arg| arg.as_bytes().to_vec()).collect(),
        };
        let got = arguments(&call).unwrap();
        let expected = ["EVALSHA", "abc", "1", "{evt}", "1", "86400000", "acc_01__rand_int__"];
        assert_eq!(got[..7], expected.map(OsString::from));
        assert_eq!(got[7..], ["hhold_01__rand_int__", "hold_01__rand_int__", "x"]);
        call.args[2] = b"short".to_vec();
        assert!(arguments(&call).is_err());
    }
}
