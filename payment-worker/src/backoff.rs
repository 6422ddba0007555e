//! Asking a store again until it answers.
use crate::{Config, metrics};
use ledger::StoreError;
use std::future::Future;
use std::time::Duration;

/// How long to wait after a store failed: twice as long each time, up to a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) fn new(config: &Config) -> Self {
        let ms = Duration::from_millis;
        Self { min: ms(config.retry_min_ms), max: ms(config.retry_max_ms) }
    }

    /// The pause after so many failures in a row, from 1.
    pub(crate) fn after(&self, failures: u32) -> Duration {
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.min.saturating_mul(factor).min(self.max)
    }

    /// Calls until the store answers. Only for calls that are safe twice: what is unknown is simply
    /// asked again, and what is broken waits here for the operator, because no message is skipped.
    pub(crate) async fn insist<T, F, Answer>(&self, mut call: F) -> T
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
                    self.failed(&error, failures).await;
                }
            }
        }
    }

    async fn failed(&self, error: &StoreError, failures: u32) {
        metrics::store_retry();
        warn_of(error, "a store does not answer and is asked again");
        tokio::time::sleep(self.after(failures)).await;
    }
}

/// Logs a failure with what caused it.
pub(crate) fn warn_of(error: &(dyn std::error::Error + 'static), message: &'static str) {
    tracing::warn!(error, "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::config;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let backoff = Backoff::new(&Config { retry_min_ms: 10, retry_max_ms: 70, ..config() });
        let check = |failures, ms| {
            assert_eq!(backoff.after(failures), Duration::from_millis(ms), "{failures}");
        };
        for (failures, ms) in [(1, 10), (2, 20), (3, 40), (4, 70), (32, 70), (u32::MAX, 70)] {
            check(failures, ms);
        }
    }

    #[tokio::test]
    async fn only_an_answer_ends_the_asking() {
        let backoff = Backoff::new(&config());
        let mut answers = [
            Err(StoreError::unavailable("asking", "down")),
            Err(StoreError::unknown("asking", "gone")),
            Err(StoreError::broken("asking", "odd")),
            Ok(7),
        ]
        .into_iter();
        let got = backoff.insist(|| std::future::ready(answers.next().unwrap())).await;
        assert_eq!(got, 7);
    }
}
