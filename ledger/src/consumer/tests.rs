//! The consumer over a log in memory and a store that fails as it is told to.
#![expect(clippy::arithmetic_side_effects, reason = "small counts that a test keeps")]
use super::*;
use crate::booking::BookingCommand;
use crate::conformance::sample::{NOW, SampleEvent, consumer_config};
use crate::log::{Backlog, LogPosition, Message};
use async_trait::async_trait;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;

/// A log of one group in memory, and what became of its messages.
#[derive(Default)]
struct Bench {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    committed: usize,
    joined: usize,
    left: usize,
    /// So many of the next commits fail.
    commits_fail: usize,
    dead: Vec<(i64, String)>,
    /// What had its effect, and how often.
    done: HashMap<String, usize>,
    /// These can never be carried out.
    broken: HashSet<String>,
    /// Everything is broken: the store itself is.
    all_broken: bool,
    /// So many of the next calls of the store fail.
    away: usize,
    calls: usize,
}

impl Bench {
    /// A log of so many messages.
    fn of(messages: usize) -> Arc<Self> {
        let event = SampleEvent::default();
        let place = |n: usize| {
            let place = event.place(&[format!("a-{n}").as_str()]);
            Message::Command(BookingCommand::Place(place))
        };
        let state = State { messages: (0..messages).map(place).collect(), ..State::default() };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    fn key(&self, index: usize) -> String {
        self.state().messages[index].key().to_owned()
    }

    fn break_message(&self, index: usize) {
        let key = self.key(index);
        self.change(|state| {
            state.broken.insert(key);
        });
    }

    async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            if holds(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    /// Runs a consumer with these bounds until the condition holds, then tells it to stop.
    async fn run_until(self: &Arc<Self>, config: ConsumerConfig, holds: impl Fn(&State) -> bool) {
        let stop = CancellationToken::new();
        let log = Arc::new(MemoryLog(self.clone()));
        let run =
            Consumer::new(log, Group::PaymentWorker, config).run(Store(self.clone()), stop.clone());
        let watch = async {
            self.until(holds).await;
            stop.cancel();
        };
        let both = async { tokio::join!(run, watch) };
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("it comes about in time");
    }
}

struct MemoryLog(Arc<Bench>);

struct MemorySubscription {
    bench: Arc<Bench>,
    at: usize,
}

#[async_trait]
impl BookingLog for MemoryLog {
    async fn append(&self, messages: Vec<Message>) -> Result<(), StoreError> {
        self.0.change(|state| state.messages.extend(messages));
        Ok(())
    }

    async fn subscribe(&self, _: Group) -> Result<Box<dyn Subscription>, StoreError> {
        self.0.change(|state| state.joined += 1);
        let at = self.0.state().committed;
        Ok(Box::new(MemorySubscription { bench: self.0.clone(), at }))
    }

    async fn append_dead(&self, _: Group, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let dead = letters.iter().map(|l| (l.delivery.position.offset, l.reason.clone()));
        self.0.change(|state| state.dead.extend(dead));
        Ok(())
    }

    async fn backlog(&self, _: Group) -> Result<Backlog, StoreError> {
        Err(StoreError::broken("testing", "nobody asks for it"))
    }
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, StoreError> {
        let at = self.at;
        self.bench.until(|state| state.messages.len() > at).await;
        let state = self.bench.state();
        let found = state.messages.iter().zip(0i64..).skip(at).take(max);
        let found: Vec<_> = found
            .map(|(message, offset)| Delivery {
                message: message.clone(),
                position: LogPosition { partition: 0, offset },
                appended_at: NOW,
            })
            .collect();
        self.at += found.len();
        Ok(found)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let failing = self.bench.state().commits_fail;
        if failing > 0 {
            self.bench.change(|state| state.commits_fail -= 1);
            return Err(StoreError::unknown("committing", "a planted failure"));
        }
        self.bench.change(|state| state.committed = self.at);
        Ok(())
    }

    async fn commit_first(&mut self, _: usize) -> Result<(), StoreError> {
        Err(StoreError::broken("testing", "nobody asks for it"))
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        self.bench.change(|state| state.left += 1);
    }
}

/// Where the messages have their effect: a batch whole or not at all.
struct Store(Arc<Bench>);

impl BatchHandler for Store {
    async fn handle(&self, batch: &[Delivery]) -> Result<(), BatchError> {
        let mut outcome = Ok(());
        self.0.change(|state| {
            state.calls += 1;
            let is_broken = |d: &Delivery| state.broken.contains(d.message.key());
            if state.away > 0 {
                state.away -= 1;
                outcome = Err(StoreError::unavailable("carrying out", "a planted failure"));
            } else if state.all_broken || batch.iter().any(is_broken) {
                outcome = Err(StoreError::broken("carrying out", "a planted poison"));
            } else {
                for delivery in batch {
                    *state.done.entry(delivery.message.key().to_owned()).or_default() += 1;
                }
            }
        });
        Ok(outcome?)
    }
}

#[tokio::test]
async fn one_broken_message_of_a_hundred_is_set_aside_and_the_others_take_effect() {
    let bench = Bench::of(100);
    bench.break_message(37);
    bench.run_until(consumer_config(), |state| state.committed == 100).await;
    let poison = bench.key(37);
    let state = bench.state();
    assert_eq!(state.dead, [(37, "carrying out: a planted poison".to_owned())]);
    assert_eq!(state.done.len(), 99);
    assert!(!state.done.contains_key(&poison) && state.done.values().all(|times| *times == 1));
    assert_eq!((state.joined, state.left), (1, 1), "the group was left only at the end");
    assert!(state.calls < 20, "found by halves, not one by one: {} calls", state.calls);
}

#[tokio::test]
async fn a_store_that_is_away_is_asked_again_without_leaving_the_group() {
    let bench = Bench::of(3);
    bench.change(|state| state.away = 30);
    let bounds = ConsumerConfig { rejoin_after_failures: 2, ..consumer_config() };
    bench.run_until(bounds, |state| state.committed == 3).await;
    let state = bench.state();
    assert_eq!((state.away, state.calls, state.joined), (0, 31, 1));
    assert!(state.dead.is_empty() && state.done.values().all(|times| *times == 1));
}

#[tokio::test]
async fn poison_behind_a_store_that_was_away_is_still_found() {
    let bench = Bench::of(8);
    bench.break_message(0);
    bench.break_message(7);
    bench.change(|state| state.away = 3);
    bench.run_until(consumer_config(), |state| state.committed == 8).await;
    let state = bench.state();
    let dead: Vec<i64> = state.dead.iter().map(|(offset, _)| *offset).collect();
    assert_eq!((dead, state.done.len()), (vec![0, 7], 6));
}

#[tokio::test]
async fn a_store_that_refuses_everything_does_not_empty_the_log_into_the_dead_letters() {
    let bench = Bench::of(50);
    bench.change(|state| state.all_broken = true);
    let bounds = ConsumerConfig { poison_in_a_row_max: 3, ..consumer_config() };
    // Long after three were refused it still waits with the fourth.
    bench.run_until(bounds.clone(), |state| state.calls > 60).await;
    {
        let state = bench.state();
        assert_eq!((state.dead.len(), state.committed), (0, 0));
    }
    // It is mended while it runs, and the three that were suspects at first take effect too.
    let calls = bench.state().calls + 60;
    let mend = async {
        bench.until(|state| state.calls > calls).await;
        bench.change(|state| state.all_broken = false);
    };
    tokio::join!(mend, bench.run_until(bounds, |state| state.committed == 50));
    assert!(bench.state().dead.is_empty(), "nothing was lost to the broken store");
    assert_eq!(bench.state().done.len(), 50);
}

#[tokio::test]
async fn shutdown_is_not_held_up_by_a_store_that_is_away() {
    let bench = Bench::of(1);
    bench.change(|state| state.away = usize::MAX);
    // The pause is far longer than the test may take.
    let pause = 3_600_000;
    let bounds = ConsumerConfig { retry_min_ms: pause, retry_max_ms: pause, ..consumer_config() };
    bench.run_until(bounds, |state| state.calls == 1).await;
    let state = bench.state();
    assert_eq!((state.committed, state.left), (0, 1));
}

#[tokio::test]
async fn a_log_that_takes_no_commit_is_joined_anew_and_what_was_read_comes_again() {
    let bench = Bench::of(2);
    bench.change(|state| state.commits_fail = 3);
    let bounds = ConsumerConfig { rejoin_after_failures: 3, ..consumer_config() };
    bench.run_until(bounds, |state| state.committed == 2).await;
    let state = bench.state();
    assert_eq!(state.joined, 2);
    assert!(state.done.values().all(|times| *times == 2), "at least once: {:?}", state.done);
}

#[test]
fn a_failure_that_may_pass_counts_before_one_that_stays() {
    let again = || Err(StoreError::unavailable("testing", "away"));
    let broken = || Err(StoreError::broken("testing", "odd"));
    assert!(BatchError::of_all::<StoreError>([Ok(()), Ok(())]).is_ok());
    for results in [[again(), broken()], [broken(), again()], [Ok(()), again()]] {
        assert!(matches!(BatchError::of_all(results), Err(BatchError::Again(_))));
    }
    assert!(matches!(BatchError::of_all([broken(), Ok(())]), Err(BatchError::Broken(_))));
}

#[test]
fn bounds_are_checked() {
    let check = |change: fn(&mut ConsumerConfig), expected: Option<&str>| {
        let mut config = consumer_config();
        change(&mut config);
        assert_eq!(config.validate().err().map(|error| error.name), expected, "{config:?}");
    };
    check(|_| {}, None);
    check(|c| c.batch_max = 0, Some("batch_max"));
    check(|c| c.retry_min_ms = 0, Some("retry_min_ms"));
    check(|c| c.retry_max_ms = 0, Some("retry_max_ms"));
    check(|c| c.rejoin_after_failures = 0, Some("rejoin_after_failures"));
    check(|c| c.poison_in_a_row_max = 0, Some("poison_in_a_row_max"));
}
