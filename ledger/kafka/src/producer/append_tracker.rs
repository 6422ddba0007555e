//! Tracks one append: how many of its messages are not reported yet, and what went wrong.
use ledger::{StoreError, Topic, lock, metrics};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// How many messages of an append go to each topic.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    bookings: u32,
    outcomes: u32,
    dead: u32,
}

/// Shared by the messages of one append.
pub(super) struct AppendTracker {
    doing: &'static str,
    counts: Counts,
    state: Mutex<State>,
}

/// Ends with the append. Dropped and awaited again, it goes on.
pub(crate) struct Completion(Arc<AppendTracker>);

struct State {
    left: u32,
    /// Acknowledged, or perhaps appended: the append can no longer be called undone.
    maybe_appended: bool,
    failure: Option<KafkaError>,
    /// Who waits for the end.
    waker: Option<Waker>,
}

impl FromIterator<Topic> for Counts {
    fn from_iter<I: IntoIterator<Item = Topic>>(topics: I) -> Self {
        let mut counts = Self::default();
        for topic in topics {
            let count = match topic {
                Topic::Bookings => &mut counts.bookings,
                Topic::Outcomes => &mut counts.outcomes,
                Topic::Dead => &mut counts.dead,
            };
            *count = count.saturating_add(1);
        }
        counts
    }
}

impl Counts {
    fn all(self) -> u32 {
        self.bookings.saturating_add(self.outcomes).saturating_add(self.dead)
    }
}

impl AppendTracker {
    /// A tracker for so many messages, and where its end is heard.
    pub(super) fn start(doing: &'static str, counts: Counts) -> (Arc<Self>, Completion) {
        let state = State { left: counts.all(), maybe_appended: false, failure: None, waker: None };
        let tracker = Arc::new(Self { doing, counts, state: Mutex::new(state) });
        (tracker.clone(), Completion(tracker))
    }

    /// One message is on the log.
    pub(super) fn appended(&self) {
        self.report(1, None, true);
    }

    /// One message was taken by the producer and did not make it.
    pub(super) fn failed(&self, error: KafkaError) {
        let maybe_appended = !surely_not_appended(&error);
        self.report(1, Some(error), maybe_appended);
    }

    /// `messages` were never taken by the producer.
    pub(super) fn refused(&self, messages: u32, error: KafkaError) {
        self.report(messages, Some(error), false);
    }

    fn report(&self, messages: u32, failure: Option<KafkaError>, maybe_appended: bool) {
        let mut state = self.state();
        state.left = state.left.saturating_sub(messages);
        state.maybe_appended |= maybe_appended;
        state.failure = state.failure.take().or(failure);
        if state.left > 0 {
            return;
        }
        if state.failure.is_none() {
            self.count();
        }
        let waker = state.waker.take();
        drop(state);
        // The caller may have left.
        waker.into_iter().for_each(Waker::wake);
    }

    fn result(&self, state: &State) -> Result<(), StoreError> {
        let Some(error) = state.failure.clone() else { return Ok(()) };
        if state.maybe_appended {
            Err(StoreError::unknown(self.doing, error))
        } else if is_for_ever(&error) {
            Err(StoreError::broken(self.doing, error))
        } else {
            Err(StoreError::unavailable(self.doing, error))
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn count(&self) {
        let Counts { bookings, outcomes, dead: _ } = self.counts;
        for (topic, count) in [(Topic::Bookings, bookings), (Topic::Outcomes, outcomes)] {
            if count > 0 {
                metrics::appended(topic, count.into());
            }
        }
    }
}

impl Future for Completion {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state();
        if state.left == 0 {
            return Poll::Ready(self.0.result(&state));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => state.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

/// True for what a broker refuses before it writes. A timeout is not among them, nor a queue that
/// was purged: what lies in it may have been sent before and wait to be sent again.
fn surely_not_appended(error: &KafkaError) -> bool {
    let refused = matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition)
    );
    refused || is_for_ever(error)
}

/// True for what no later try can change.
fn is_for_ever(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const SENT: [RDKafkaErrorCode; 3] = [
        RDKafkaErrorCode::MessageTimedOut,
        RDKafkaErrorCode::PurgeInflight,
        RDKafkaErrorCode::PurgeQueue,
    ];
    const NOT_SENT: [RDKafkaErrorCode; 2] =
        [RDKafkaErrorCode::UnknownPartition, RDKafkaErrorCode::UnknownTopic];

    fn error(code: RDKafkaErrorCode) -> KafkaError {
        KafkaError::MessageProduction(code)
    }

    /// An append of two messages, reported by `report`.
    fn end(report: impl FnOnce(&AppendTracker)) -> Result<(), StoreError> {
        let counts = [Topic::Bookings, Topic::Outcomes].into_iter().collect();
        let (tracker, completion) = AppendTracker::start("appending", counts);
        report(&tracker);
        completion.now_or_never().expect("the tracker has ended")
    }

    #[test]
    fn an_append_ends_with_its_last_message() {
        let (tracker, mut completion) =
            AppendTracker::start("appending", [Topic::Dead; 2].into_iter().collect());
        tracker.appended();
        assert!((&mut completion).now_or_never().is_none());
        tracker.appended();
        assert!(completion.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn only_what_was_surely_not_appended_is_unavailable() {
        for code in NOT_SENT {
            let both = end(|tracker| (0..2).for_each(|_| tracker.failed(error(code))));
            assert!(both.unwrap_err().is_retryable(), "{code}");
            let half = end(|tracker| {
                tracker.appended();
                tracker.failed(error(code));
            });
            assert!(half.unwrap_err().is_unknown(), "{code}: half of it is there");
        }
        for code in SENT {
            let mixed = end(|tracker| {
                tracker.failed(error(code));
                tracker.refused(1, error(RDKafkaErrorCode::QueueFull));
            });
            assert!(mixed.unwrap_err().is_unknown(), "{code}");
        }
    }

    #[test]
    fn what_was_refused_whole_did_not_happen() {
        let full = end(|tracker| tracker.refused(2, error(RDKafkaErrorCode::QueueFull)));
        assert!(full.unwrap_err().is_retryable());
        let large = end(|tracker| tracker.refused(2, error(RDKafkaErrorCode::MessageSizeTooLarge)));
        assert!(matches!(large, Err(StoreError::Broken { .. })));
    }
}
