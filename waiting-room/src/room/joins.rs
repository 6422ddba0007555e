//! Joins: those that arrive together share one reservation.
//!
//! A join that finds nobody reserving reserves for itself, at once. Those that come meanwhile
//! gather, and a task takes the next reservation for all of them: a lone join never waits, and
//! under load the store sees a few large reservations.
use super::answers::JoinAnswer;
use super::leases::Leaser;
use super::parts::Background;
use super::queue_copy::QueueCopy;
use super::status_keeper::StatusKeeper;
use super::steps::Stepper;
use crate::metrics::{JOINS_TOTAL, JoinRefusal, LEASES_EXHAUSTED_TOTAL, join_refused};
use crate::store::{ClaimOutcome, PlaceStatus, Reserve};
use crate::{Error, Parts, PlaceState, QueueToken};
use ledger::keys::Keyring;
use ledger::{AccountId, QueueState, StoreError, lock};
use metrics::{Counter, counter};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// From so many joins a reservation, a store that takes its time is given larger ones.
const COMBINE_FROM: usize = 8;
/// What counts as taking its time.
const SLOW_STORE: Duration = Duration::from_micros(100);
/// How often numbers are leased for one reservation before it is given up.
const LEASES_MAX: usize = 4;

type Reply = oneshot::Sender<Result<u64, Error>>;

/// Lets people into one queue's line.
pub(super) struct Joiner {
    copy: Arc<QueueCopy>,
    status: Arc<StatusKeeper>,
    leaser: Arc<Leaser>,
    stepper: Arc<Stepper>,
    keys: Keyring,
    tasks: TaskTracker,
    bounds: Bounds,
    gathered: Mutex<Gathered>,
    joins: Counter,
}

struct Bounds {
    waiting_max: usize,
    combine_max: usize,
    combine: Duration,
}

/// Joins that wait for a number.
#[derive(Default)]
struct Gathered {
    waiting: Vec<Reply>,
    /// Somebody reserves right now.
    busy: bool,
}

impl Gathered {
    fn first(&mut self, most: usize) -> Vec<Reply> {
        if self.waiting.len() <= most {
            return std::mem::take(&mut self.waiting);
        }
        let later = self.waiting.split_off(most);
        std::mem::replace(&mut self.waiting, later)
    }
}

/// Numbers that a reservation got: `first..first + count`.
struct Batch {
    first: u64,
    count: u64,
}

/// The right to reserve. Whoever has it hands over to those who gathered meanwhile, also when
/// the caller is dropped.
struct Turn<'a>(&'a Arc<Joiner>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut gathered = lock(&self.0.gathered);
        if gathered.waiting.is_empty() {
            gathered.busy = false;
            return;
        }
        drop(gathered);
        let joiner = self.0.clone();
        self.0.tasks.spawn(async move { joiner.serve_gathered().await });
    }
}

impl Joiner {
    pub(super) fn new(
        parts: &Parts,
        background: &Background,
        copy: Arc<QueueCopy>,
        status: Arc<StatusKeeper>,
        leaser: Arc<Leaser>,
        stepper: Arc<Stepper>,
    ) -> Self {
        let config = &parts.config;
        let bounds = Bounds {
            waiting_max: config.join_queue_max,
            combine_max: config.join_combine_max.max(1),
            combine: Duration::from_millis(config.join_combine_ms),
        };
        Self {
            copy,
            status,
            leaser,
            stepper,
            keys: parts.keys.clone(),
            tasks: background.tasks.clone(),
            bounds,
            gathered: Mutex::default(),
            joins: counter!(JOINS_TOTAL),
        }
    }

    pub(super) async fn join(
        self: &Arc<Self>,
        account: Option<&AccountId>,
        shown: Option<&str>,
    ) -> Result<JoinAnswer, Error> {
        self.status.watch().await;
        if self.status.seen().snapshot.settings.state == QueueState::Closed {
            join_refused(JoinRefusal::Closed);
            return Ok(JoinAnswer::Closed);
        }
        if let Some(text) = shown
            && let Some(same) = Box::pin(self.same_place(account, text)).await?
        {
            return Ok(same);
        }
        let number = self.number().await.inspect_err(|error| match error {
            Error::Overloaded => join_refused(JoinRefusal::Overloaded),
            Error::Store(_) | Error::Recovering | Error::Signing(_) => {
                join_refused(JoinRefusal::Unavailable);
            }
        })?;
        let issued_at = self.copy.now();
        let token = QueueToken {
            queue: self.copy.id().clone(),
            entry: number,
            number: Some(number),
            account: account.cloned(),
            issued_at,
        };
        let seen = self.status.seen();
        let place = if number <= self.copy.served() {
            let window = seen.snapshot.settings.claim_window_seconds;
            PlaceStatus::Ready { left_millis: i64::from(window) * 1_000 }
        } else {
            PlaceStatus::Waiting
        };
        let standing = self.status.standing_at(&seen.snapshot, &token, &place, issued_at);
        Ok(JoinAnswer::Joined { token: token.sign(&self.keys, issued_at)?, standing })
    }

    /// The place that is shown, if it is live and not another account's.
    async fn same_place(
        &self,
        account: Option<&AccountId>,
        text: &str,
    ) -> Result<Option<JoinAnswer>, Error> {
        let token = QueueToken::read(&self.keys, self.copy.id(), text, self.copy.now());
        let Some(token) = token else { return Ok(None) };
        if token.account.is_some() && account.is_some() && token.account.as_ref() != account {
            return Ok(None);
        }
        let standing = self.status.standing_for_certain(&token).await?;
        let live = match standing.state {
            PlaceState::PreQueue
            | PlaceState::Waiting
            | PlaceState::Ready
            | PlaceState::Returning
            | PlaceState::Admitted
            | PlaceState::SoldOut => true,
            PlaceState::Missed | PlaceState::Done | PlaceState::Closed => false,
        };
        Ok(live.then(|| JoinAnswer::Same { token: text.to_owned(), standing }))
    }

    async fn number(self: &Arc<Self>) -> Result<u64, Error> {
        match self.enter()? {
            None => {
                let _turn = Turn(self);
                let mut reserving = pin!(self.reserve(1));
                let mut waited = false;
                let reserved = poll_fn(|cx| {
                    let polled = reserving.as_mut().poll(cx);
                    waited |= polled.is_pending();
                    polled
                });
                let number = reserved.await?.first;
                if !waited {
                    let gathered = lock(&self.gathered).first(self.bounds.combine_max);
                    if !gathered.is_empty() {
                        // A store in memory is done sooner than a task is woken.
                        Box::pin(self.serve_batch(gathered)).await;
                    }
                }
                Ok(number)
            }
            Some(from) => from.await.map_err(|_| Error::Recovering)?,
        }
    }

    /// `None`: the caller reserves. Otherwise its number comes from whoever does.
    fn enter(&self) -> Result<Option<oneshot::Receiver<Result<u64, Error>>>, Error> {
        let mut gathered = lock(&self.gathered);
        if !gathered.busy {
            gathered.busy = true;
            return Ok(None);
        }
        if gathered.waiting.len() >= self.bounds.waiting_max {
            return Err(Error::Overloaded);
        }
        let (to, from) = oneshot::channel();
        gathered.waiting.push(to);
        Ok(Some(from))
    }

    /// The next joins to reserve for; none ends the turn.
    fn take(&self) -> Vec<Reply> {
        let mut gathered = lock(&self.gathered);
        if gathered.waiting.is_empty() {
            gathered.busy = false;
        }
        gathered.first(self.bounds.combine_max)
    }

    /// Serves those who gathered until nobody is left.
    async fn serve_gathered(self: &Arc<Self>) {
        loop {
            let joins = self.take();
            if joins.is_empty() {
                return;
            }
            let many = joins.len() >= COMBINE_FROM;
            let began = Instant::now();
            self.serve_batch(joins).await;
            if many && began.elapsed() >= SLOW_STORE {
                tokio::time::sleep(self.bounds.combine).await;
            }
        }
    }

    async fn serve_batch(self: &Arc<Self>, joins: Vec<Reply>) {
        let mut joins = joins.into_iter();
        while joins.len() > 0 {
            match self.reserve(joins.len() as u64).await {
                Ok(Batch { first, count }) => {
                    for (number, reply) in (first..first + count).zip(joins.by_ref()) {
                        if reply.send(Ok(number)).is_err() {
                            self.forgo(number).await;
                        }
                    }
                }
                Err(error) => {
                    let detail = error.to_string();
                    for reply in joins.by_ref() {
                        let error = StoreError::unavailable("reserving numbers", detail.clone());
                        // Whoever went away needs no answer.
                        let _ = reply.send(Err(error.into()));
                    }
                }
            }
        }
    }

    /// Nobody took this number: whoever asked for it went away.
    async fn forgo(&self, number: u64) {
        let left = ClaimOutcome::Left;
        if let Err(error) = self.copy.call(|store, at| store.settle(at, number, left)).await {
            let queue = self.copy.id();
            tracing::debug!(%error, queue.id = %queue, "a number nobody took stays in line");
        }
    }

    /// Reserves up to `count` numbers, at least one, leasing more when they run out, and calls
    /// those for whom there is room.
    async fn reserve(&self, count: u64) -> Result<Batch, Error> {
        let straight = !self.status.is_slow();
        let request = Reserve { count, lease: None, straight };
        for _ in 0..LEASES_MAX {
            let (generation, got) = self.copy.call(|store, at| store.reserve(at, request)).await?;
            if got.count == 0 {
                counter!(LEASES_EXHAUSTED_TOTAL).increment(1);
                Box::pin(self.leaser.top_up(1)).await?;
                continue;
            }
            self.joins.increment(got.count);
            self.leaser.given(got.count, got.left);
            self.copy.serve(got.now_serving);
            if let Some(step) = got.step
                && let Err(error) = Box::pin(self.stepper.commit(generation, step)).await
            {
                // Their numbers stand; the pacer calls them later.
                let queue = self.copy.id();
                tracing::warn!(%error, queue.id = %queue, "a step cannot be committed");
            }
            return Ok(Batch { first: got.first, count: got.count });
        }
        Err(Error::Recovering)
    }
}
