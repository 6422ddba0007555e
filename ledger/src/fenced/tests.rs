//! One recovery a loss, whoever finds it, and a bounded wait for everyone else.
use super::*;
use crate::lock;
use futures_util::future::join_all;
use std::sync::Mutex as SyncMutex;
use tokio::sync::Semaphore;

const BOUNDS: RecoveryBounds = RecoveryBounds { wait_ms: 2_000, poll_ms: 1, winner_ms: 5_000 };
/// For those who wait in vain.
const SHORT: RecoveryBounds = RecoveryBounds { wait_ms: 20, poll_ms: 1, winner_ms: 100 };

#[derive(Debug)]
struct Failed;

impl From<StoreError> for Failed {
    fn from(_: StoreError) -> Self {
        Self
    }
}

impl From<Recovering> for Failed {
    fn from(_: Recovering) -> Self {
        Self
    }
}

/// A record and a store, which all nodes share.
struct Shared {
    recorded: SyncMutex<u64>,
    copy: SyncMutex<Option<u64>>,
    rebuilds: AtomicU64,
}

impl Shared {
    fn recorded(generation: u64) -> Self {
        Self {
            recorded: SyncMutex::new(generation),
            copy: SyncMutex::default(),
            rebuilds: AtomicU64::new(0),
        }
    }

    fn lose(&self) {
        *lock(&self.copy) = None;
    }

    fn seen(&self) -> (u64, Option<u64>, u64) {
        (*lock(&self.recorded), *lock(&self.copy), self.rebuilds.load(Ordering::Relaxed))
    }
}

/// One node, whose rebuilds take a permit each.
struct Node<'a> {
    shared: &'a Shared,
    copy: FencedCopy,
    permits: Semaphore,
    fails: AtomicU64,
    elsewhere: bool,
}

impl<'a> Node<'a> {
    fn new(shared: &'a Shared, bounds: RecoveryBounds) -> Self {
        Self {
            shared,
            copy: FencedCopy::new(bounds),
            permits: Semaphore::new(Semaphore::MAX_PERMITS),
            fails: AtomicU64::new(0),
            elsewhere: false,
        }
    }

    async fn call(&self) -> Result<u64, Failed> {
        let answered = self.copy.call(self, async |generation| {
            tokio::task::yield_now().await;
            let copy = *lock(&self.shared.copy);
            Ok(if copy == Some(generation) { Fenced::Is(()) } else { Fenced::Lost })
        });
        answered.await.map(|(generation, ())| generation)
    }
}

impl CopySource for Node<'_> {
    type Error = Failed;

    async fn generation(&self) -> Result<u64, Failed> {
        tokio::task::yield_now().await;
        Ok(*lock(&self.shared.recorded))
    }

    async fn raise(&self, from: u64) -> Result<Raised, Failed> {
        tokio::task::yield_now().await;
        let mut recorded = lock(&self.shared.recorded);
        if *recorded != from {
            return Ok(Raised::Lost(*recorded));
        }
        *recorded = from.saturating_add(1);
        Ok(Raised::Won(*recorded))
    }

    async fn probe(&self, generation: u64) -> Result<bool, Failed> {
        tokio::task::yield_now().await;
        Ok(*lock(&self.shared.copy) == Some(generation))
    }

    async fn rebuild(&self, generation: u64) -> Result<(), Failed> {
        self.permits.acquire().await.unwrap().forget();
        self.shared.rebuilds.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) > 0 {
            self.fails.fetch_sub(1, Ordering::Relaxed);
            return Err(Failed);
        }
        *lock(&self.shared.copy) = Some(generation);
        Ok(())
    }

    fn is_rebuilt_elsewhere(&self, _generation: u64) -> bool {
        self.elsewhere
    }
}

#[test]
fn whoever_finds_a_loss_raises_unless_another_node_did_and_still_has_time() {
    use Decision::{AwaitWinner, Raise};
    let start = Instant::now();
    let has = Duration::from_secs(3);
    // Each row: lost, found, elsewhere, and the seconds since the start; turns of one node.
    for rows in [
        vec![(1, 1, false, 0, Raise)],
        // The first touch of a node.
        vec![(UNKNOWN, 4, false, 0, Raise)],
        vec![(UNKNOWN, 4, true, 0, AwaitWinner), (4, 4, false, 2, AwaitWinner)],
        // Another node raised it: it has its time once, and so has the one after it.
        vec![
            (1, 2, false, 0, AwaitWinner),
            (2, 2, false, 2, AwaitWinner),
            (2, 2, false, 3, Raise),
            (2, 3, false, 3, AwaitWinner),
            (3, 3, false, 5, AwaitWinner),
            (3, 3, false, 6, Raise),
        ],
        // What this node raised itself and could not load is nobody else's to load.
        vec![(6, 7, false, 0, Raise), (7, 7, false, 0, Raise)],
    ] {
        let mut turn = Turn { ours: 7, winner: None };
        for (lost, found, elsewhere, seconds, expected) in rows {
            let now = start + Duration::from_secs(seconds);
            let decided = turn.decide(lost, found, elsewhere, has, now);
            assert_eq!(decided, expected, "{lost} lost, {found} found, after {seconds} s");
        }
    }
}

#[tokio::test]
async fn a_copy_that_bears_the_generation_of_the_record_is_taken_as_it_is() {
    let shared = Shared::recorded(5);
    *lock(&shared.copy) = Some(5);
    let node = Node::new(&shared, BOUNDS);
    assert_eq!(node.call().await.unwrap(), 5);
    assert_eq!(shared.seen(), (5, Some(5), 0));
}

#[tokio::test]
async fn two_nodes_that_find_a_loss_together_recover_it_once() {
    let shared = Shared::recorded(1);
    let nodes = [Node::new(&shared, BOUNDS), Node::new(&shared, BOUNDS)];
    for loss in 1..=3 {
        let calls = (0..16).map(|call: usize| nodes[call % 2].call());
        for answer in join_all(calls).await {
            assert_eq!(answer.unwrap(), loss + 1);
        }
        assert_eq!(shared.seen(), (loss + 1, Some(loss + 1), loss));
        shared.lose();
    }
}

#[tokio::test]
async fn the_loser_waits_for_the_winner() {
    let shared = Shared::recorded(1);
    let (mut winner, loser) = (Node::new(&shared, BOUNDS), Node::new(&shared, BOUNDS));
    winner.permits = Semaphore::new(0);
    let waiting = async {
        while shared.seen().0 < 2 {
            tokio::task::yield_now().await;
        }
        let answered = async {
            let answer = loser.call().await;
            (answer, shared.seen())
        };
        let release = async {
            // The loser believes in the winner's copy before that is there.
            while loser.copy.believed() != 2 {
                tokio::task::yield_now().await;
            }
            assert_eq!(shared.seen(), (2, None, 0));
            winner.permits.add_permits(1);
        };
        tokio::join!(answered, release).0
    };
    // At its first touch the loser would raise: it has touched the copy before.
    loser.copy.believe(1);
    let (won, (answer, seen)) = tokio::join!(winner.call(), waiting);
    assert_eq!((won.unwrap(), answer.unwrap()), (2, 2));
    assert_eq!(seen, (2, Some(2), 1));
}

#[tokio::test]
async fn a_winner_that_brings_no_copy_is_taken_for_dead() {
    let shared = Shared::recorded(1);
    let node = Node::new(&shared, SHORT);
    node.call().await.unwrap();
    // Another node raised the generation and was killed.
    *lock(&shared.recorded) = 3;
    shared.lose();
    let began = Instant::now();
    node.call().await.unwrap_err();
    let answer = loop {
        match node.call().await {
            Ok(answer) => break answer,
            Err(Failed) => assert_eq!(shared.seen(), (3, None, 1), "it still has time"),
        }
    };
    assert!(began.elapsed() >= SHORT.winner());
    assert_eq!(answer, 4);
    assert_eq!(shared.seen(), (4, Some(4), 2));
}

#[tokio::test]
async fn a_node_that_comes_during_a_rebuild_leaves_it_alone() {
    let shared = Shared::recorded(3);
    let node = Node { elsewhere: true, ..Node::new(&shared, SHORT) };
    node.call().await.unwrap_err();
    assert_eq!(shared.seen(), (3, None, 0), "not raised");
    *lock(&shared.copy) = Some(3);
    assert_eq!(node.call().await.unwrap(), 3);
}

#[tokio::test]
async fn all_who_wait_share_a_recovery_and_its_failure() {
    let shared = Shared::recorded(1);
    let mut node = Node::new(&shared, BOUNDS);
    node.permits = Semaphore::new(0);
    node.fails = AtomicU64::new(1);
    let release = async {
        while shared.seen().0 < 2 {
            tokio::task::yield_now().await;
        }
        node.permits.add_permits(Semaphore::MAX_PERMITS);
    };
    let calls = join_all((0..32).map(|_| node.call()));
    let (answers, ()) = tokio::join!(calls, release);
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(shared.seen(), (2, None, 1), "nobody begins another one");
    // Whoever comes next does, without waiting for the node that it is itself.
    let answers = join_all((0..32).map(|_| node.call())).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok_and(|generation| generation == 3)));
    assert_eq!(shared.seen(), (3, Some(3), 2));
}

#[tokio::test]
async fn nobody_waits_longer_than_the_bound_for_the_own_nodes_recovery() {
    let shared = Shared::recorded(1);
    let mut node = Node::new(&shared, SHORT);
    node.permits = Semaphore::new(0);
    let rebuilding = node.call();
    let waiting = async {
        let answer = node.call().await;
        node.permits.add_permits(1);
        answer
    };
    let (rebuilt, waited) = tokio::join!(rebuilding, waiting);
    waited.unwrap_err();
    assert_eq!(rebuilt.unwrap(), 2);
}

#[tokio::test]
async fn a_recovery_whose_caller_went_away_holds_nobody_up() {
    let shared = Shared::recorded(1);
    let mut node = Node::new(&shared, BOUNDS);
    node.permits = Semaphore::new(0);
    {
        let mut gone = Box::pin(node.call());
        while shared.seen().0 < 2 {
            assert!(futures_util::poll!(gone.as_mut()).is_pending());
        }
    }
    node.permits.add_permits(1);
    assert_eq!(node.call().await.unwrap(), 3);
}

#[tokio::test]
async fn a_copy_that_keeps_getting_lost_is_given_up() {
    let shared = Shared::recorded(1);
    let node = Node::new(&shared, BOUNDS);
    let answered = node.copy.call(&node, async |_| {
        shared.lose();
        Ok(Fenced::<()>::Lost)
    });
    answered.await.unwrap_err();
    assert_eq!(shared.seen().0, 5, "one recovery at the first touch, and one a call");
}
