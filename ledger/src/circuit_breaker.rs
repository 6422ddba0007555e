//! Whether a server that was found away may be called: a crowd is refused, one caller probes.
use crate::lock::lock;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Closed: everybody may call. Open: everybody is refused until a pause is over. Half-open: one
/// caller probes, and the others are refused until it is known what came of that.
///
/// It decides by what callers report and by the time; it calls nobody. Clients of one server share it.
#[derive(Debug)]
pub struct CircuitBreaker {
    /// How long everybody is refused after a failure.
    pause: Duration,
    /// A probe that says nothing for this long is given up, and another caller probes.
    probe_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u64,
    /// `Some` while the server is taken for away: when the next caller probes.
    probe_at: Option<Instant>,
}

/// What a caller may do.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    Call,
    /// Find out whether the server is back, and tell the breaker.
    Probe(Probe),
    Refused,
}

/// The right to probe. Dropped without a word, it runs out.
#[derive(Debug, PartialEq, Eq)]
pub struct Probe {
    /// Failures that were known when it began.
    failures: u64,
}

impl CircuitBreaker {
    pub fn new(pause: Duration, probe_timeout: Duration) -> Self {
        Self { pause, probe_timeout, state: Mutex::default() }
    }

    /// What the caller may do now; of those who find the pause over, the first one probes.
    pub fn enter(&self, now: Instant) -> Entry {
        let mut state = lock(&self.state);
        match state.probe_at {
            None => Entry::Call,
            Some(at) if now < at => Entry::Refused,
            Some(_) => {
                state.probe_at = now.checked_add(self.probe_timeout);
                Entry::Probe(Probe { failures: state.failures })
            }
        }
    }

    /// True while everybody is refused. Takes no right to probe: for callers who queue up behind
    /// the one that does.
    pub fn refuses(&self, now: Instant) -> bool {
        lock(&self.state).probe_at.is_some_and(|at| now < at)
    }

    /// A probe that was not this breaker's idea.
    pub fn probe(&self) -> Probe {
        Probe { failures: lock(&self.state).failures }
    }

    /// The server answered. What failed before the probe began is over, but not what has failed
    /// since: then the next caller probes.
    pub fn succeeded(&self, probe: &Probe, now: Instant) {
        let mut state = lock(&self.state);
        state.probe_at = (state.failures > probe.failures).then_some(now);
    }

    /// A call or a probe failed.
    pub fn failed(&self, now: Instant) {
        let mut state = lock(&self.state);
        state.failures = state.failures.saturating_add(1);
        state.probe_at = now.checked_add(self.pause);
    }

    /// The server may be away: the next caller probes. A pause or a probe goes on.
    pub fn suspect(&self, now: Instant) {
        let mut state = lock(&self.state);
        state.failures = state.failures.saturating_add(1);
        state.probe_at.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Said::{Calls, Probes, Refuses};

    const PAUSE: u64 = 100;
    const PROBE_TIMEOUT: u64 = 500;

    #[derive(Debug, PartialEq, Eq)]
    enum Said {
        Calls,
        Probes,
        Refuses,
    }

    enum Step {
        /// A caller comes, and this is its answer.
        Enter(Said),
        Failed,
        Suspect,
        /// The last probe succeeded.
        Succeeded,
    }
    use Step::{Enter, Failed, Succeeded, Suspect};

    /// What happens at which millisecond, in turn.
    type History = &'static [(u64, Step)];

    const TABLE: [(&str, History); 7] = [
        ("closed, everybody calls", &[(0, Enter(Calls)), (0, Enter(Calls))]),
        (
            "a failure opens it for a pause",
            &[(0, Failed), (PAUSE - 1, Enter(Refuses)), (PAUSE, Enter(Probes))],
        ),
        (
            "one probes, and success closes it",
            &[
                (0, Failed),
                (PAUSE, Enter(Probes)),
                (PAUSE, Enter(Refuses)),
                (PAUSE + 5, Succeeded),
                (PAUSE + 5, Enter(Calls)),
            ],
        ),
        (
            "a probe that fails begins another pause",
            &[
                (0, Failed),
                (PAUSE, Enter(Probes)),
                (PAUSE + 5, Failed),
                (PAUSE + 5, Enter(Refuses)),
                (2 * PAUSE + 5, Enter(Probes)),
            ],
        ),
        (
            "a probe that says nothing is given up",
            &[
                (0, Failed),
                (PAUSE, Enter(Probes)),
                (PAUSE + PROBE_TIMEOUT - 1, Enter(Refuses)),
                (PAUSE + PROBE_TIMEOUT, Enter(Probes)),
            ],
        ),
        (
            "a suspicion is probed at once, and does not lengthen a pause",
            &[
                (0, Suspect),
                (0, Enter(Probes)),
                (1, Suspect),
                (1, Enter(Refuses)),
                (2, Failed),
                (3, Suspect),
                (2 + PAUSE, Enter(Probes)),
            ],
        ),
        (
            "what failed during a probe outlives its success",
            &[
                (0, Failed),
                (PAUSE, Enter(Probes)),
                (PAUSE + 1, Suspect),
                (PAUSE + 2, Succeeded),
                (PAUSE + 2, Enter(Probes)),
                (PAUSE + 3, Succeeded),
                (PAUSE + 3, Enter(Calls)),
            ],
        ),
    ];

    #[test]
    fn it_opens_pauses_probes_and_closes() {
        for (name, history) in TABLE {
            let millis = Duration::from_millis;
            let breaker = CircuitBreaker::new(millis(PAUSE), millis(PROBE_TIMEOUT));
            let (began, mut last) = (Instant::now(), breaker.probe());
            for (i, (at, step)) in history.iter().enumerate() {
                let now = began.checked_add(millis(*at)).unwrap();
                match step {
                    Enter(expected) => {
                        assert_eq!(breaker.refuses(now), *expected == Refuses, "{name}: {i}");
                        let said = match breaker.enter(now) {
                            Entry::Call => Calls,
                            Entry::Probe(probe) => {
                                last = probe;
                                Probes
                            }
                            Entry::Refused => Refuses,
                        };
                        assert_eq!(said, *expected, "{name}: step {i}");
                    }
                    Failed => breaker.failed(now),
                    Suspect => breaker.suspect(now),
                    Succeeded => breaker.succeeded(&last, now),
                }
            }
        }
    }
}
