//! The seat store shared by all nodes: one copy an event in Redis, changed by scripts only.
//!
//! Every script works on five keys with the event's tag. It checks the generation, frees what is
//! due, answers, and may be sent again: it finds what it did the first time. Redis keeps
//! nothing beyond a loss; the record does.
mod args;
mod decide;
mod known;
mod locking;
mod reply;
mod scripts;
mod shape;
mod staged;
#[cfg(test)]
mod tests;
mod wire;

use allocator::backend::{EventSeats, Reads, version_of};
use allocator::store::{
    Applied, CopyRef, Find, LoadOutcome, Lock, Locked, Paid, Pay, SeatCopies, SeatHolds,
    SeatSnapshot, SeatUpkeep, SeatsCopy, Swept, Truth,
};
use allocator::{BookTarget, HoldRecord, ReleaseAnswer};
use args::Args;
use async_trait::async_trait;
use known::{KnownEvent, Letters};
use ledger::{
    AccountId, BookingId, BookingOutcome, Event, EventId, Fenced, HoldId, StoreError, Timestamp,
    read_lock, write_lock,
};
use locking::Locking;
use redis_client::{Redis, RedisBounds, RedisFailure, Script, Value, cmd};
use reply::{Reply, read, unexpected_reply};
use scripts::{Scripts, Time};
use staged::Staged;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use wire::{Wire, hash_text, key_text};

/// What every call fails at.
const DOING: &str = "asking the seats in Redis";

/// Seats in Redis, on one server or a cluster.
pub struct RedisSeatStore {
    redis: Redis,
    scripts: Scripts,
    time: Time,
    /// Events in use: as many as the operator sells.
    events: RwLock<HashMap<EventId, Arc<KnownEvent>>>,
    loads: AtomicU64,
}

/// A script with all that it is called with, for whoever wants to call it by other means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptCall {
    pub source: String,
    /// SHA-1 of the source, as `EVALSHA` takes it.
    pub hash: String,
    pub keys: Vec<String>,
    pub args: Vec<Vec<u8>>,
}

impl RedisSeatStore {
    /// Connects to `redis://…` or `redis-cluster://HOST:PORT,HOST:PORT`.
    pub async fn open(url: &str, bounds: RedisBounds) -> Result<Self, RedisFailure> {
        Ok(Self::on(Redis::open(url, bounds).await?))
    }

    /// On connections that others use too.
    pub fn on(redis: Redis) -> Self {
        Self::with_time(redis, Time::SERVER)
    }

    /// With scripts that take the time from [`CopyRef`] instead of the server: for tests whose
    /// clock stands still. No other script can be given the time.
    #[cfg(test)]
    pub fn on_given_time(redis: Redis) -> Self {
        Self::with_time(redis, Time::GIVEN)
    }

    fn with_time(redis: Redis, time: Time) -> Self {
        let (scripts, events, loads) = (Scripts::new(time), RwLock::default(), AtomicU64::new(0));
        Self { redis, scripts, time, events, loads }
    }

    /// Exactly what [`SeatStore::lock`] sends: a benchmark measures the same script on the same
    /// keys without this client. The event's copy must be loaded. Of `args`, the third is the
    /// account, the fourth `h` and the hold, the fifth the hold; a caller that makes each of them
    /// new for every call makes a new hold every time.
    pub fn lock_call(&self, at: &CopyRef, request: &Lock) -> ScriptCall {
        let known = self.known(&at.event);
        let mut args = self.first_args(at);
        Locking::new(at, known.wire(&at.event), request).args(at, &mut args);
        self.add_time(at, &mut args);
        ScriptCall {
            source: self.scripts.lock.source().to_owned(),
            hash: self.scripts.lock.hash().to_owned(),
            keys: known.keys[..4].to_vec(),
            args: args.slices().into_iter().map(<[u8]>::to_vec).collect(),
        }
    }

    fn known(&self, event: &Event) -> Arc<KnownEvent> {
        let events = read_lock(&self.events);
        if let Some(known) = events.get(&event.id) {
            return known.clone();
        }
        drop(events);
        let mut events = write_lock(&self.events);
        events.entry(event.id.clone()).or_insert_with(|| Arc::new(KnownEvent::of(event))).clone()
    }

    /// The arguments that all scripts begin with.
    fn first_args(&self, at: &CopyRef) -> Args {
        let mut args = Args::default();
        args.add(at.generation).add(u64::from(at.limits.key_seconds) * 1_000);
        args
    }

    /// Where scripts are given the time, it comes last.
    fn add_time(&self, at: &CopyRef, args: &mut Args) {
        if let Some(now) = (self.time.argument)(at) {
            args.add(now.millis());
        }
    }

    async fn run(
        &self,
        script: &Script,
        keys: &[String],
        args: &Args,
    ) -> Result<Value, StoreError> {
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        self.redis.run(DOING, script, &keys, &args.slices()).await
    }

    async fn call(
        &self,
        at: &CopyRef,
        known: &KnownEvent,
        script: &Script,
        mut args: Args,
    ) -> Result<Value, StoreError> {
        self.add_time(at, &mut args);
        self.run(script, &known.keys, &args).await
    }

    /// By the clock that the scripts go by: the copy must not be older or newer than they are.
    async fn now(&self, at: &CopyRef, known: &KnownEvent) -> Result<Timestamp, StoreError> {
        let mut args = Args::default();
        self.add_time(at, &mut args);
        match self.run(&self.scripts.now, &known.keys[..1], &args).await? {
            Value::Int(now) => Ok(Timestamp::from_millis(now)),
            _ => Err(unexpected_reply()),
        }
    }
}

#[async_trait]
impl SeatHolds for RedisSeatStore {
    async fn lock(&self, at: &CopyRef, request: &Lock) -> Result<Fenced<Locked>, StoreError> {
        let known = self.known(&at.event);
        let locking = Locking::new(at, known.wire(&at.event), request);
        let mut args = self.first_args(at);
        locking.args(at, &mut args);
        self.add_time(at, &mut args);
        locking.answer(self.run(&self.scripts.lock, &known.keys[..4], &args).await?)
    }

    async fn release(
        &self,
        at: &CopyRef,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<Fenced<ReleaseAnswer>, StoreError> {
        let reads = Reads::of_hold(hold.clone());
        self.decide(at, &reads, |seats, at| seats.release(at, hold, account)).await
    }

    async fn pay(&self, at: &CopyRef, request: &Pay) -> Result<Fenced<Paid>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let mut args = self.first_args(at);
        args.text(at.event.id.as_str()).text(request.account.as_str());
        match &request.target {
            BookTarget::Hold(hold) => args.text("h").text(&wire.short(hold)),
            BookTarget::Place(place) => match wire.shape.offset(*place) {
                Some(offset) => args.text("o").add(offset),
                None => args.text("x").text(""),
            },
        };
        match &request.key {
            Some(key) => args.text(&key_text(&key.key)).text(&hash_text(&key.body_hash)),
            None => args.text("").text(""),
        };
        args.text(request.joins.as_ref().map_or("", BookingId::as_str));
        args.text(request.payment_token.expose());
        args.add(u64::from(at.event.terms.payment_deadline_seconds) * 1_000);
        args.add(at.event.terms.seats_per_account_max);
        let reply = self.call(at, &known, &self.scripts.pay, args).await?;
        read(reply, |reply| paid(reply, wire))
    }

    async fn unpay(&self, at: &CopyRef, booking: &BookingId) -> Result<Fenced<bool>, StoreError> {
        let reads = Reads::of_unpay(booking).unwrap_or_default();
        self.decide(at, &reads, |seats, at| seats.unpay(at, booking)).await
    }

    async fn find(
        &self,
        at: &CopyRef,
        which: &Find,
    ) -> Result<Fenced<Vec<HoldRecord>>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let mut args = self.first_args(at);
        match which {
            Find::Hold(hold) => args.text("h").text(&wire.short(hold)),
            Find::Account(account) => args.text("a").text(account.as_str()),
            Find::Key { account, key } => {
                args.text("k").add(format_args!("{account} {}", key_text(key)))
            }
        };
        let reply = self.call(at, &known, &self.scripts.find, args).await?;
        read(reply, |reply| reply.records(wire))
    }
}

#[async_trait]
impl SeatUpkeep for RedisSeatStore {
    async fn apply(
        &self,
        at: &CopyRef,
        outcome: &BookingOutcome,
    ) -> Result<Fenced<Applied>, StoreError> {
        let reads = Reads::of_outcome(outcome, &at.event.layout);
        self.decide(at, &reads, |seats, at| seats.apply(at, outcome)).await
    }

    async fn reload(
        &self,
        at: &CopyRef,
        places: &[(u32, Truth)],
    ) -> Result<Fenced<()>, StoreError> {
        for piece in decide::pieces(places) {
            let reads = Reads::of_reload(&piece, &at.event.layout);
            match self.decide(at, &reads, |seats, at| seats.reload(at, &piece)).await? {
                Fenced::Is(()) => {}
                Fenced::Lost => return Ok(Fenced::Lost),
            }
        }
        Ok(Fenced::Is(()))
    }

    async fn sweep(&self, at: &CopyRef, max: usize) -> Result<Fenced<Swept>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let last = known.last(at.generation);
        let mut args = self.first_args(at);
        let lease = u64::from(at.event.terms.payment_deadline_seconds.max(1)) * 1_000;
        args.add(max).add(lease).text(&Letters::changes(last.as_ref()));
        let reply = self.call(at, &known, &self.scripts.sweep, args).await?;
        read(reply, |reply| {
            let (ended, holds) = (whole(reply)?, whole(reply)?);
            let letters = known.letters(at.generation, last, reply)?;
            let leased = reply.records(wire)?;
            let command = |record: HoldRecord| Some((*record.payment()?.command).clone());
            let overdue = leased.into_iter().filter_map(command).collect();
            let ended = usize::try_from(ended).unwrap_or(usize::MAX);
            Ok(Swept { ended, overdue, counts: letters.counts, holds })
        })
    }

    async fn has_holds(&self, event: &Event) -> Result<bool, StoreError> {
        let known = self.known(event);
        let mut command = cmd("EXISTS");
        command.arg(&known.keys[2]).arg(&known.keys[4]);
        match self.redis.call(DOING, &command).await? {
            Value::Int(sets) => Ok(sets > 0),
            _ => Err(unexpected_reply()),
        }
    }

    async fn snapshot(&self, at: &CopyRef) -> Result<Fenced<SeatSnapshot>, StoreError> {
        let known = self.known(&at.event);
        let last = known.last(at.generation);
        let mut args = self.first_args(at);
        args.text(&Letters::changes(last.as_ref()));
        let reply = self.call(at, &known, &self.scripts.snapshot, args).await?;
        read(reply, |reply| {
            let letters = known.letters(at.generation, last, reply)?;
            let version = version_of(at.generation, letters.changes);
            Ok(SeatSnapshot { version, places: letters.places.to_vec(), counts: letters.counts })
        })
    }
}

#[async_trait]
impl SeatCopies for RedisSeatStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn surviving_holds(
        &self,
        event: &Event,
        generation: u64,
    ) -> Result<Vec<HoldRecord>, StoreError> {
        let mut args = Args::default();
        args.add(generation);
        self.run(&self.scripts.lose, &self.known(event).keys, &args).await?;
        Ok(Vec::new())
    }

    async fn load(&self, at: &CopyRef, copy: SeatsCopy) -> Result<LoadOutcome, StoreError> {
        let known = self.known(&at.event);
        let now = self.now(at, &known).await?;
        let seats = EventSeats::of_copy(&CopyRef { now, ..at.clone() }, copy);
        let staged = Staged::of(&seats, known.wire(&at.event));
        // Whatever an earlier try left behind is not mixed in.
        let load = self.loads.fetch_add(1, Ordering::Relaxed);
        let beside = known.beside(&format!("{}.{now}.{load}", at.generation));
        for command in staged.commands(&beside) {
            self.redis.call(DOING, &command).await?;
        }
        let mut args = Args::default();
        args.add(at.generation).add(staged.count());
        let keys: Vec<_> = known.keys.iter().chain(&beside).cloned().collect();
        match self.run(&self.scripts.swap, &keys, &args).await? {
            Value::Int(1) => Ok(LoadOutcome::Swapped),
            Value::Int(0) => Ok(LoadOutcome::NotNewer),
            Value::Int(2) => Err(StoreError::unavailable(DOING, "a copy was lost in the making")),
            _ => Err(unexpected_reply()),
        }
    }
}

fn paid(reply: &mut Reply, wire: Wire<'_>) -> Result<Paid, StoreError> {
    let kind = reply.whole()?;
    let mut command = || {
        let record = reply.record(wire)?;
        let command = record.payment().map(|payment| payment.command.clone());
        command.ok_or_else(unexpected_reply)
    };
    Ok(match kind {
        1 => Paid::Begun(command()?),
        2 => {
            let command = command()?;
            Paid::Live { command, keyed: reply.whole()? == 1 }
        }
        3 => Paid::Before(BookingId::parse(&reply.text()?).map_err(|_| unexpected_reply())?),
        4 => Paid::Expired,
        5 => Paid::NotHolder,
        6 => Paid::NotFound,
        7 => Paid::Mismatch,
        _ => return Err(unexpected_reply()),
    })
}

fn whole(reply: &mut Reply) -> Result<u64, StoreError> {
    u64::try_from(reply.whole()?).map_err(|_| unexpected_reply())
}
