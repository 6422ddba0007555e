//! A closed loop: every connection has one request under way, always.
use super::cpu;
use super::rounds::Part;
use crate::http::{Wire, find, locate};
use crate::operator::Server;
use anyhow::{Context, bail};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections to one server, and the request that they repeat.
pub(super) struct Drive {
    pid: u32,
    lanes: Vec<Lane>,
}

/// What is repeated, and what must come back.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) request: Vec<u8>,
    pub(super) status: u16,
    /// A number field of the answer that is kept, for uniqueness.
    pub(super) field: Option<&'static str>,
}

struct Lane {
    wire: Wire,
    exchange: Exchange,
    kept: Vec<u64>,
}

impl Drive {
    pub(super) async fn new(
        server: &Server,
        exchange: Exchange,
        connections: u16,
    ) -> anyhow::Result<Self> {
        let (address, _) = locate(&server.base).await?;
        let mut lanes = Vec::new();
        for _ in 0..connections {
            let wire = Wire::open(address).await.context("connecting")?;
            lanes.push(Lane { wire, exchange: exchange.clone(), kept: Vec::new() });
        }
        Ok(Self { pid: server.pid()?, lanes })
    }

    /// Drives for so long and measures both sides.
    pub(super) async fn part(&mut self, length: Duration) -> anyhow::Result<Part> {
        let (cpu, own) = (cpu::used(self.pid)?, cpu::used(std::process::id())?);
        let start = Instant::now();
        let mut running = JoinSet::new();
        for lane in self.lanes.drain(..) {
            running.spawn(lane.repeat(start + length));
        }
        let mut requests = 0;
        while let Some(lane) = running.join_next().await {
            let (lane, count) = lane.context("a connection's task ended badly")??;
            self.lanes.push(lane);
            requests += count;
        }
        Ok(Part {
            requests,
            wall: start.elapsed(),
            cpu: cpu::used(self.pid)?.saturating_sub(cpu),
            own: cpu::used(std::process::id())?.saturating_sub(own),
        })
    }

    /// The kept numbers of all answers so far.
    pub(super) fn kept(&self) -> impl Iterator<Item = u64> {
        self.lanes.iter().flat_map(|lane| lane.kept.iter().copied())
    }
}

impl Lane {
    async fn repeat(mut self, until: Instant) -> anyhow::Result<(Self, u64)> {
        let mut count = 0;
        while Instant::now() < until {
            let reply = self.wire.exchange(&self.exchange.request).await;
            let reply = reply.map_err(|broken| broken.error).context("no answer")?;
            if reply.status != self.exchange.status {
                let body = String::from_utf8_lossy(reply.body);
                bail!("{} instead of {}: {body}", reply.status, self.exchange.status);
            }
            if let Some(field) = self.exchange.field {
                self.kept.push(number(reply.body, field).context("the number is missing")?);
            }
            count += 1;
        }
        Ok((self, count))
    }
}

/// The number behind `"field":`, without the cost of reading the whole answer.
fn number(body: &[u8], field: &str) -> Option<u64> {
    let rest = &body[find(body, field.as_bytes())? + field.len()..];
    let rest = rest.strip_prefix(b"\":")?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    let mut number = None;
    for digit in digits {
        number =
            Some(number.unwrap_or(0_u64).checked_mul(10)?.checked_add(u64::from(digit - b'0'))?);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_their_field() {
        for (body, expected) in [
            (r#"{"entry":12,"number":3}"#, Some(12)),
            (r#"{"a":1, "entry": 7}"#, Some(7)),
            (r#"{"entry":null}"#, None),
            (r#"{"number":3}"#, None),
        ] {
            assert_eq!(number(body.as_bytes(), "entry"), expected, "{body}");
        }
    }
}
