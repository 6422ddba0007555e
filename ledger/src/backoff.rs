//! Calling a store again until it answers, with pauses that grow.
use crate::error::StoreError;
use crate::log::Group;
use crate::metrics;
use std::future::Future;
use std::time::Duration;

/// How long to pause after a failed call: twice as long each time, up to a limit.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// On whose behalf the calls are made; the metrics count retries by it.
    group: Group,
    min: Duration,
    max: Duration,
}

impl Backoff {
    pub fn new(group: Group, min_ms: u64, max_ms: u64) -> Self {
        Self { group, min: Duration::from_millis(min_ms), max: Duration::from_millis(max_ms) }
    }

    /// The pause after so many failures in a row, from 1.
    pub fn pause(&self, failures: u32) -> Duration {
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.min.saturating_mul(factor).min(self.max)
    }

    /// Calls until the store answers. Only for calls that are safe twice and that no single
    /// message can break: what is unknown or broken is asked again as well.
    pub async fn retry_until_ok<T, F, Answer>(&self, mut call: F) -> T
    where
        F: FnMut() -> Answer,
        Answer: Future<Output = Result<T, StoreError>>,
    {
        let mut failures = 0u32;
        loop {
            match call().await {
                Ok(value) => return value,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(self.failed(&error, failures)).await;
                }
            }
        }
    }

    /// Counts and logs a failure, the `failures`-th in a row; the pause before the next call.
    pub(crate) fn failed(
        &self,
        error: &(dyn std::error::Error + 'static),
        failures: u32,
    ) -> Duration {
        let pause = self.pause(failures);
        metrics::consumer_retry(self.group);
        tracing::warn!(
            error,
            group = self.group.name(),
            failures,
            pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            "a call failed and is made again"
        );
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let backoff = Backoff::new(Group::Projector, 10, 70);
        for (failures, ms) in [(1, 10), (2, 20), (3, 40), (4, 70), (32, 70), (u32::MAX, 70)] {
            assert_eq!(backoff.pause(failures), Duration::from_millis(ms), "{failures}");
        }
    }

    #[tokio::test]
    async fn only_an_answer_ends_the_retries() {
        let backoff = Backoff::new(Group::Projector, 1, 1);
        let mut answers = [
            Err(StoreError::unavailable("testing", "down")),
            Err(StoreError::unknown("testing", "gone")),
            Err(StoreError::broken("testing", "odd")),
            Ok(7),
        ]
        .into_iter();
        let got = backoff.retry_until_ok(|| std::future::ready(answers.next().unwrap())).await;
        assert_eq!(got, 7);
    }
}
