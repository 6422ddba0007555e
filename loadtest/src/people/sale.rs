//! What all people of a run share: the connections, the event, the clock of the run.
use super::fault_history::FaultHistory;
use crate::history::Micros;
use crate::http::{Answer, Lost, Pool, Request};
use crate::latency::{Latencies, Route};
use crate::scenario::Scenario;
use ledger::lock;
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long one request may take before it counts as lost; longer than the longest long poll.
const REQUEST_PATIENCE: Duration = Duration::from_secs(40);
/// How long somebody goes on asking a server that says "later", or says nothing.
const SERVER_PATIENCE: Duration = Duration::from_secs(120);
/// Lost answers in a row after which somebody gives up.
const LOST_MAX: u32 = 8;
/// Different bodies of refusals that are kept; most are the same few.
const REFUSALS_MAX: usize = 50_000;

/// One run, as its people see it.
pub(crate) struct Sale {
    /// Connections for what is answered at once …
    pub(crate) pool: Pool,
    /// … and for what the server keeps waiting, so that one does not starve the other.
    pub(crate) waits: Pool,
    pub(crate) event: String,
    pub(crate) queue: String,
    pub(crate) scenario: Scenario,
    pub(crate) started: Instant,
    pub(crate) latencies: Latencies,
    pub(crate) fault_history: FaultHistory,
    pub(crate) refusals: Refusals,
}

/// The bodies of refusals and errors, each once: nothing secret may be in them.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashSet<Vec<u8>>>);

impl Refusals {
    /// A body more, unless there are very many already.
    pub(crate) fn add(&self, body: &[u8]) {
        let mut bodies = lock(&self.0);
        if bodies.len() < REFUSALS_MAX && !bodies.contains(body) {
            bodies.insert(body.to_owned());
        }
    }

    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        lock(&self.0).iter().cloned().collect()
    }
}

/// What went wrong on the way to an answer, and was overcome.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) sheds: u32,
    pub(crate) lost: u32,
}

impl Sale {
    /// Microseconds since the run began.
    pub(crate) fn now(&self) -> Micros {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Asks until there is an answer that is not "come again". Every request may be sent twice:
    /// reads change nothing, and the rest is keyed or harmless. `Err` says what must not be.
    pub(crate) async fn call(
        &self,
        route: Route,
        request: &Request,
        due: Instant,
        trouble: &mut Trouble,
    ) -> Result<Answer, String> {
        let mut lost_in_a_row = 0;
        loop {
            let sent = Instant::now();
            let pause = match self.send(route, request).await {
                Ok(answer) => match come_again(&answer) {
                    Some(pause) => {
                        self.fault_history.refused(sent.elapsed());
                        lost_in_a_row = 0;
                        trouble.sheds += 1;
                        pause
                    }
                    None if answer.status >= 500 => {
                        return Err(format!("{}: {}", route.as_str(), answer.summary()));
                    }
                    None => {
                        self.latencies.record(route, due.elapsed());
                        return Ok(answer);
                    }
                },
                Err(lost) => {
                    lost_in_a_row += 1;
                    trouble.lost += 1;
                    if lost_in_a_row > LOST_MAX {
                        return Err(format!("{}: {lost}", route.as_str()));
                    }
                    Duration::from_millis(250 * u64::from(lost_in_a_row))
                }
            };
            if due.elapsed() > SERVER_PATIENCE {
                return Err(format!("{}: no answer for 120 s", route.as_str()));
            }
            sleep(pause).await;
        }
    }

    async fn send(&self, route: Route, request: &Request) -> Result<Answer, Lost> {
        let pool = if route == Route::Booking { &self.waits } else { &self.pool };
        let answer = pool.send(request, REQUEST_PATIENCE).await?;
        if answer.status >= 400 {
            self.refusals.add(answer.body());
        }
        Ok(answer)
    }
}

/// How long to wait when the server says that it cannot now.
fn come_again(answer: &Answer) -> Option<Duration> {
    match answer.status {
        429 | 503 => answer.retry_after().map(Duration::from_secs),
        _ => None,
    }
}
