//! Fast copies that can be lost: each bears a generation, and the record holds the current one.
//!
//! Whoever finds a copy lost recovers it, and there is one way to do so. Recoveries of one node take
//! turns. The one whose turn it is reads the generation in the record and takes the store's copy
//! if it bears that one already. Otherwise it raises the generation by compare-and-set: the winner
//! rebuilds the copy from the record, everyone else waits a little for the winner, whatever node
//! it is on. A winner that is given its time and brings no copy is taken for dead.
use crate::books::Raised;
use crate::error::StoreError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

/// How often a call is made on a copy that keeps getting lost.
const CALLS_MAX: usize = 3;
/// The generation that a node believes in before its first touch.
const UNKNOWN: u64 = 0;

/// The answer of a store that keeps a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced<T> {
    /// The copy bears the generation that the caller named.
    Is(T),
    /// It does not: it was lost, or another one was swapped in. Nothing was changed.
    Lost,
}

/// Somebody recovers the copy, and it took longer than a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the copy is being recovered")]
pub struct Recovering;

/// How long a recovery is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryBounds {
    /// How long a call waits for a recovery that somebody else does, in milliseconds.
    pub wait_ms: u64,
    /// How often it looks whether another node's copy is there, in milliseconds.
    pub poll_ms: u64,
    /// How long another node that won the right to rebuild is given to do so, in milliseconds:
    /// longer than a rebuild takes, or two nodes would keep taking it from each other.
    pub winner_ms: u64,
}

impl RecoveryBounds {
    fn winner(&self) -> Duration {
        Duration::from_millis(self.winner_ms)
    }
}

/// One copy's record and store: the parts of a recovery that await.
pub trait CopySource: Sync {
    type Error: From<StoreError> + From<Recovering>;

    /// The generation in the record.
    fn generation(&self) -> impl Future<Output = Result<u64, Self::Error>> + Send;

    /// Raises the generation in the record by one if it still is `from`.
    fn raise(&self, from: u64) -> impl Future<Output = Result<Raised, Self::Error>> + Send;

    /// Whether the store has a copy of this generation.
    fn probe(&self, generation: u64) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Loads a copy of this generation, which the caller raised, from the record.
    fn rebuild(&self, generation: u64) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// At a node's first touch: whether another node may be rebuilding this generation right now,
    /// and raising it again would take away what was done in its copy.
    fn is_rebuilt_elsewhere(&self, generation: u64) -> bool;
}

/// What one node knows of one copy.
#[derive(Debug)]
pub struct FencedCopy {
    bounds: RecoveryBounds,
    /// The generation that this node believes in.
    believed: AtomicU64,
    /// Recoveries that failed, so that those who waited for one do not each begin another.
    failed: AtomicU64,
    turn: Mutex<Turn>,
}

/// What whoever has the turn knows of earlier ones.
#[derive(Debug, Default)]
struct Turn {
    /// The last generation that this node raised.
    ours: u64,
    winner: Option<Winner>,
}

/// Another node raised the generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Winner {
    generation: u64,
    seen_at: Instant,
}

/// What to do about a copy that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    AwaitWinner,
    Raise,
}

impl Turn {
    /// Decides, from what the record says. `elsewhere`: [`CopySource::is_rebuilt_elsewhere`].
    fn decide(
        &mut self,
        lost: u64,
        found: u64,
        elsewhere: bool,
        has: Duration,
        now: Instant,
    ) -> Decision {
        if found == self.ours {
            // It could not be loaded then, and nobody else will.
            return Decision::Raise;
        }
        let raised = if lost == UNKNOWN { elsewhere } else { found > lost };
        match self.winner {
            Some(winner) if winner.generation == found => {
                if now.duration_since(winner.seen_at) < has {
                    Decision::AwaitWinner
                } else {
                    Decision::Raise
                }
            }
            Some(_) | None if raised => {
                self.winner = Some(Winner { generation: found, seen_at: now });
                Decision::AwaitWinner
            }
            Some(_) | None => Decision::Raise,
        }
    }
}

impl FencedCopy {
    pub fn new(bounds: RecoveryBounds) -> Self {
        Self {
            bounds,
            believed: AtomicU64::new(UNKNOWN),
            failed: AtomicU64::new(0),
            turn: Mutex::default(),
        }
    }

    /// Calls the copy under the generation that it should bear, and recovers it when it is lost.
    /// Also says which generation answered: what follows in the record is under that one.
    pub async fn call<T, S, F>(
        &self,
        source: &S,
        call: impl Fn(u64) -> F,
    ) -> Result<(u64, T), S::Error>
    where
        S: CopySource,
        F: Future<Output = Result<Fenced<T>, StoreError>>,
    {
        for _ in 0..CALLS_MAX {
            let mut generation = self.believed();
            if generation == UNKNOWN {
                // Recoveries are rare, and far larger than what everyone else waits in.
                Box::pin(self.recover(source, UNKNOWN)).await?;
                generation = self.believed();
            }
            match call(generation).await? {
                Fenced::Is(value) => return Ok((generation, value)),
                Fenced::Lost => Box::pin(self.recover(source, generation)).await?,
            }
        }
        Err(Recovering.into())
    }

    /// Recovers the copy, unless somebody did since generation `lost` was found lost. All who find
    /// it lost share one recovery, and its failure.
    pub async fn recover<S: CopySource>(&self, source: &S, lost: u64) -> Result<(), S::Error> {
        let until = after(Duration::from_millis(self.bounds.wait_ms));
        let failed = self.failed.load(Ordering::Acquire);
        let mut turn = self.turn(until).await?;
        if self.believed() != lost {
            return Ok(());
        }
        if self.failed.load(Ordering::Acquire) != failed {
            return Err(Recovering.into());
        }
        let recovered = self.recover_in(&mut turn, source, lost, until).await;
        if recovered.is_err() {
            self.failed.fetch_add(1, Ordering::AcqRel);
        }
        recovered
    }

    async fn turn(&self, until: Instant) -> Result<MutexGuard<'_, Turn>, Recovering> {
        timeout_at(until, self.turn.lock()).await.map_err(|_| Recovering)
    }

    async fn recover_in<S: CopySource>(
        &self,
        turn: &mut Turn,
        source: &S,
        lost: u64,
        until: Instant,
    ) -> Result<(), S::Error> {
        let found = source.generation().await?;
        if source.probe(found).await? {
            turn.winner = None;
            self.believe(found);
            return Ok(());
        }
        let elsewhere = source.is_rebuilt_elsewhere(found);
        let raised = match turn.decide(lost, found, elsewhere, self.bounds.winner(), Instant::now())
        {
            Decision::AwaitWinner => Raised::Lost(found),
            Decision::Raise => source.raise(found).await?,
        };
        match raised {
            Raised::Won(generation) => {
                turn.ours = generation;
                source.rebuild(generation).await?;
                self.believe(generation);
                Ok(())
            }
            Raised::Lost(generation) => {
                if turn.winner.is_none_or(|winner| winner.generation != generation) {
                    turn.winner = Some(Winner { generation, seen_at: Instant::now() });
                }
                // Nobody here goes on with the older copy.
                self.believe(generation);
                self.await_winner(source, generation, until).await?;
                turn.winner = None;
                Ok(())
            }
        }
    }

    async fn await_winner<S: CopySource>(
        &self,
        source: &S,
        generation: u64,
        until: Instant,
    ) -> Result<(), S::Error> {
        let pause = Duration::from_millis(self.bounds.poll_ms.max(1));
        while !source.probe(generation).await? {
            let next = after(pause);
            if next >= until {
                return Err(Recovering.into());
            }
            tokio::time::sleep_until(next).await;
        }
        Ok(())
    }

    fn believed(&self) -> u64 {
        self.believed.load(Ordering::Acquire)
    }

    fn believe(&self, generation: u64) {
        self.believed.store(generation, Ordering::Release);
    }
}

fn after(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

#[cfg(test)]
mod tests;
