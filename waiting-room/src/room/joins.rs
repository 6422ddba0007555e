//! Joins: those that arrive together share one reservation.
//!
//! A join that finds nobody reserving reserves for itself, at once. Those that come meanwhile
//! gather, and a task takes the next reservation for all of them: a lone join never waits, and
//! under load the store sees a few large reservations.
use super::desk::Desk;
use super::{Inner, JoinAnswer};
use crate::metrics::{JoinRefusal, LEASES_EXHAUSTED_TOTAL, join_refused};
use crate::store::{Place, Reserve, Settlement};
use crate::{Error, PlaceState, QueueToken};
use ledger::{AccountId, QueueId, QueueState, StoreError};
use metrics::counter;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// From so many joins a reservation, a store that takes its time is given larger ones.
const COMBINE_FROM: usize = 8;
/// What counts as taking its time.
const SLOW_STORE: Duration = Duration::from_micros(100);
/// How often numbers are leased for one reservation before it is given up.
const LEASES_MAX: usize = 4;

type Reply = oneshot::Sender<Result<u64, Error>>;

/// The joins of one queue on this node.
#[derive(Default)]
pub(super) struct Joins(Mutex<Gathered>);

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
struct Turn<'a> {
    room: &'a Arc<Inner>,
    desk: &'a Arc<Desk>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut gathered = self.desk.joins.lock();
        if gathered.waiting.is_empty() {
            gathered.busy = false;
            return;
        }
        drop(gathered);
        let (room, desk) = (self.room.clone(), self.desk.clone());
        self.room.tasks.spawn(async move { room.serve_joins(&desk).await });
    }
}

impl Joins {
    fn lock(&self) -> std::sync::MutexGuard<'_, Gathered> {
        self.0.lock().expect("no panic while the lock is held")
    }

    /// `None`: the caller reserves. Otherwise its number comes from whoever does.
    fn enter(&self, most: usize) -> Result<Option<oneshot::Receiver<Result<u64, Error>>>, Error> {
        let mut gathered = self.lock();
        if !gathered.busy {
            gathered.busy = true;
            return Ok(None);
        }
        if gathered.waiting.len() >= most {
            return Err(Error::Overloaded);
        }
        let (to, from) = oneshot::channel();
        gathered.waiting.push(to);
        Ok(Some(from))
    }

    /// The next joins to reserve for; none ends the turn.
    fn take(&self, most: usize) -> Vec<Reply> {
        let mut gathered = self.lock();
        if gathered.waiting.is_empty() {
            gathered.busy = false;
        }
        gathered.first(most)
    }

    /// Those who came while somebody reserved, without ending the turn.
    fn gathered(&self, most: usize) -> Vec<Reply> {
        self.lock().first(most)
    }
}

impl Inner {
    pub(super) async fn join(
        self: &Arc<Self>,
        queue: &QueueId,
        account: Option<&AccountId>,
        shown: Option<&str>,
    ) -> Result<JoinAnswer, Error> {
        let Some(desk) = self.desk(queue).await? else { return Ok(JoinAnswer::NoSuchQueue) };
        self.watch(&desk).await;
        if desk.seen().snapshot.settings.state == QueueState::Closed {
            join_refused(JoinRefusal::Closed);
            return Ok(JoinAnswer::Closed);
        }
        if let Some(text) = shown
            && let Some(same) = Box::pin(self.same_place(&desk, account, text)).await?
        {
            return Ok(same);
        }
        let number = self.number(&desk).await.inspect_err(|error| match error {
            Error::Overloaded => join_refused(JoinRefusal::Overloaded),
            Error::Store(_) | Error::Recovering | Error::Signing(_) => {
                join_refused(JoinRefusal::Unavailable);
            }
        })?;
        let issued_at = self.clock.now();
        let token = QueueToken {
            queue: queue.clone(),
            entry: number,
            number: Some(number),
            account: account.cloned(),
            issued_at,
        };
        let seen = desk.seen();
        let place = if number <= desk.served() {
            let window = seen.snapshot.settings.claim_window_seconds;
            Place::Ready { left_millis: i64::from(window) * 1_000 }
        } else {
            Place::Waiting
        };
        let standing = self.tell(&desk, &seen.snapshot, &token, &place, issued_at);
        Ok(JoinAnswer::Joined { token: token.sign(&self.keys, issued_at)?, standing })
    }

    /// The place that is shown, if it is live and not another account's.
    async fn same_place(
        &self,
        desk: &Desk,
        account: Option<&AccountId>,
        text: &str,
    ) -> Result<Option<JoinAnswer>, Error> {
        let token = QueueToken::read(&self.keys, &desk.id, text, self.clock.now());
        let Some(token) = token else { return Ok(None) };
        if token.account.is_some() && account.is_some() && token.account.as_ref() != account {
            return Ok(None);
        }
        let standing = self.standing(desk, &token).await?;
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

    async fn number(self: &Arc<Self>, desk: &Arc<Desk>) -> Result<u64, Error> {
        match desk.joins.enter(self.config.join_queue_max)? {
            None => {
                let _turn = Turn { room: self, desk };
                let mut reserving = pin!(self.reserve(desk, 1));
                let mut waited = false;
                let reserved = poll_fn(|cx| {
                    let polled = reserving.as_mut().poll(cx);
                    waited |= polled.is_pending();
                    polled
                });
                let number = reserved.await?.first;
                if !waited {
                    let gathered = desk.joins.gathered(self.config.join_combine_max.max(1));
                    if !gathered.is_empty() {
                        // A store in memory is done sooner than a task is woken.
                        Box::pin(self.serve_batch(desk, gathered)).await;
                    }
                }
                Ok(number)
            }
            Some(from) => from.await.map_err(|_| Error::Recovering)?,
        }
    }

    /// Serves those who gathered until nobody is left.
    async fn serve_joins(self: &Arc<Self>, desk: &Arc<Desk>) {
        loop {
            let joins = desk.joins.take(self.config.join_combine_max.max(1));
            if joins.is_empty() {
                return;
            }
            let many = joins.len() >= COMBINE_FROM;
            let began = Instant::now();
            self.serve_batch(desk, joins).await;
            if many && began.elapsed() >= SLOW_STORE {
                tokio::time::sleep(Duration::from_millis(self.config.join_combine_ms)).await;
            }
        }
    }

    async fn serve_batch(self: &Arc<Self>, desk: &Arc<Desk>, joins: Vec<Reply>) {
        let mut joins = joins.into_iter();
        while joins.len() > 0 {
            match self.reserve(desk, joins.len() as u64).await {
                Ok(Batch { first, count }) => {
                    for (number, reply) in (first..first + count).zip(joins.by_ref()) {
                        if reply.send(Ok(number)).is_err() {
                            self.forgo(desk, number).await;
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
    async fn forgo(&self, desk: &Desk, number: u64) {
        let left = Settlement::Left;
        if let Err(error) = self.ask(desk, |mark| self.store.settle(mark, number, left)).await {
            tracing::debug!(%error, queue.id = %desk.id, "a number nobody took stays in line");
        }
    }

    /// Reserves up to `count` numbers, at least one, leasing more when they run out, and calls
    /// those for whom there is room.
    async fn reserve(self: &Arc<Self>, desk: &Arc<Desk>, count: u64) -> Result<Batch, Error> {
        let straight = !self.is_slow(&desk.id);
        let ask = Reserve { count, lease: None, straight };
        for _ in 0..LEASES_MAX {
            let (generation, got) = self.ask(desk, |mark| self.store.reserve(mark, ask)).await?;
            if got.count == 0 {
                counter!(LEASES_EXHAUSTED_TOTAL).increment(1);
                Box::pin(self.top_up(desk, 1)).await?;
                continue;
            }
            self.counters.joins.increment(got.count);
            let per_second = desk.demand.add(got.count, self.clock.now());
            self.lease_ahead(desk, got.left, per_second);
            desk.serve(got.now_serving);
            if let Some(step) = got.step
                && let Err(error) = Box::pin(self.commit_step(desk, generation, step)).await
            {
                // Their numbers stand; the pacer calls them later.
                tracing::warn!(%error, queue.id = %desk.id, "a step cannot be committed");
            }
            return Ok(Batch { first: got.first, count: got.count });
        }
        Err(Error::Recovering)
    }
}
