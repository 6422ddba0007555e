//! Redis as its own client program reaches it: wiping it, and finding the master of a slot.
use super::stack::Stack;
use anyhow::{Context, ensure};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

const NODES: u16 = 6;
/// Three times the cluster's node timeout, and more on a busy machine.
const FAILOVER_WITHIN: Duration = Duration::from_secs(30);

/// A node of the cluster: as `ops/dev` calls it, and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) name: String,
    port: u16,
}

/// Asks one server, and returns what it said.
pub(super) async fn ask(port: u16, question: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(question).kill_on_drop(true);
    let output = command.output().await.context("running redis-cli")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success() && !said.starts_with("ERR"), "redis-cli {question:?}: {said}");
    Ok(said)
}

pub(super) fn cluster_url(stack: &Stack) -> anyhow::Result<String> {
    let base = stack.port("REDIS_CLUSTER_PORT")?;
    let nodes = (1..=NODES).map(|node| format!("127.0.0.1:{}", base + node)).collect::<Vec<_>>();
    Ok(format!("redis-cluster://{}", nodes.join(",")))
}

/// Who has the keys of this tag now.
pub(super) async fn master_of(stack: &Stack, tag: &str) -> anyhow::Result<Master> {
    let base = stack.port("REDIS_CLUSTER_PORT")?;
    for node in 1..=NODES {
        // One of them may be dead.
        let Ok(slot) = ask(base + node, &["cluster", "keyslot", &format!("{{{tag}}}")]).await
        else {
            continue;
        };
        let slot: u16 = slot.trim().parse().context("reading a slot")?;
        let nodes = ask(base + node, &["cluster", "nodes"]).await?;
        let port = port_of_master(&nodes, slot).context("nobody has the slot")?;
        return Ok(Master { name: format!("redis-cluster-{}", port - base), port });
    }
    anyhow::bail!("no node of the cluster answers")
}

/// Waits until the keys of this tag have another master than `old`.
pub(super) async fn await_failover(stack: &Stack, tag: &str, old: &Master) -> anyhow::Result<()> {
    let since = Instant::now();
    while since.elapsed() < FAILOVER_WITHIN {
        if master_of(stack, tag).await.is_ok_and(|new| new != *old) {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("no replica took over from {}", old.name)
}

/// Reads `CLUSTER NODES`: id, address, flags, master, three numbers, link state, slots.
fn port_of_master(nodes: &str, slot: u16) -> Option<u16> {
    nodes.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, flags) = (fields.get(1)?, fields.get(2)?);
        let alive = flags.contains("master") && !flags.contains("fail");
        let has = fields.iter().skip(8).any(|slots| {
            let (from, to) = slots.split_once('-').unwrap_or((slots, slots));
            let bounds = from.parse::<u16>().ok().zip(to.parse::<u16>().ok());
            bounds.is_some_and(|(from, to)| (from..=to).contains(&slot))
        });
        let port = address.split(['@', ',']).next()?.rsplit_once(':')?.1;
        (alive && has).then(|| port.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_master_of_a_slot_is_found() {
        let nodes = "\
            a1 127.0.0.1:19001@29001 myself,master - 0 0 1 connected 0-5460\n\
            b2 127.0.0.1:19002@29002 master,fail - 0 0 2 disconnected\n\
            c3 127.0.0.1:19003@29003 master - 0 0 3 connected 10923-16383 7000\n\
            d4 127.0.0.1:19004@29004 slave a1 0 0 1 connected\n\
            e5 127.0.0.1:19005@29005 master - 0 0 7 connected 5461-10922\n";
        for (slot, port) in [(0, 19_001), (5_460, 19_001), (5_461, 19_005), (16_383, 19_003)] {
            assert_eq!(port_of_master(nodes, slot), Some(port), "{slot}");
        }
        assert_eq!(port_of_master("", 1), None);
    }
}
