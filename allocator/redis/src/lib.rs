//! The seat store shared by all nodes: one copy an event in Redis, changed by scripts only.
//!
//! Every question is one script over five keys with the event's tag. It checks the mark, frees
//! what is due, answers, and may be sent again: it finds what it did the first time. Redis keeps
//! nothing beyond a loss; the record does.
mod args;
mod known;
mod locking;
mod reply;
mod scripts;
mod shape;
mod staged;
#[cfg(test)]
mod tests;
mod wire;

use allocator::backend::{EventSeats, version_of};
use allocator::store::{
    Applied, At, Find, Loaded, Lock, Locked, Marked, Paid, Pay, SeatStore, SeatsCopy, Snapshot,
    Swept, Truth,
};
use allocator::{BookTarget, HoldRecord, ReleaseAnswer};
use args::Args;
use async_trait::async_trait;
use known::{Known, Letters};
use ledger::{
    ATTEMPTS_MAX, AccountId, BookingId, BookingOutcome, Event, EventId, HoldId, SeatEffect,
    StoreError, Timestamp,
};
use locking::Locking;
use redis_client::{Redis, RedisBounds, RedisFailure, Script, Value, cmd};
use reply::{Reply, strange};
use scripts::{Scripts, Time};
use staged::Staged;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use wire::{Wire, hash_text, key_text};

/// What every call fails at.
const DOING: &str = "asking the seats in Redis";

/// Seats in Redis, on one server or a cluster.
pub struct RedisSeatStore {
    redis: Redis,
    scripts: Scripts,
    time: Time,
    /// Events that were asked about: as many as the operator sells.
    events: RwLock<HashMap<EventId, Arc<Known>>>,
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

    /// With scripts that take the time from [`At`] instead of the server: for tests whose clock
    /// stands still. No other script can be told the time.
    #[cfg(test)]
    pub fn on_asked_time(redis: Redis) -> Self {
        Self::with_time(redis, Time::ASKED)
    }

    fn with_time(redis: Redis, time: Time) -> Self {
        let (scripts, events, loads) = (Scripts::new(time), RwLock::default(), AtomicU64::new(0));
        Self { redis, scripts, time, events, loads }
    }

    /// Exactly what [`SeatStore::lock`] sends: a benchmark measures the same script on the same
    /// keys without this client. The event's copy must be loaded. Of `args`, the third is the
    /// account, the fourth `h` and the hold, the fifth the hold; a caller that makes each of them
    /// new for every call makes a new hold every time.
    pub fn lock_call(&self, at: &At, ask: &Lock) -> ScriptCall {
        let known = self.known(&at.event);
        let mut args = self.begun(at);
        Locking::new(at, known.wire(&at.event), ask).args(at, &mut args);
        self.end(at, &mut args);
        ScriptCall {
            source: self.scripts.lock.source().to_owned(),
            hash: self.scripts.lock.hash().to_owned(),
            keys: known.keys[..4].to_vec(),
            args: args.slices().into_iter().map(<[u8]>::to_vec).collect(),
        }
    }

    fn known(&self, event: &Event) -> Arc<Known> {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = events.get(&event.id) {
            return known.clone();
        }
        drop(events);
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        events.entry(event.id.clone()).or_insert_with(|| Arc::new(Known::of(event))).clone()
    }

    /// The arguments that all questions begin with.
    fn begun(&self, at: &At) -> Args {
        let mut args = Args::default();
        args.add(at.generation).add(u64::from(at.limits.key_seconds) * 1_000);
        args
    }

    /// Where scripts are told the time, it comes last.
    fn end(&self, at: &At, args: &mut Args) {
        if let Some(now) = (self.time.told)(at) {
            args.add(now.millis());
        }
    }

    async fn call(
        &self,
        script: &Script,
        keys: &[String],
        args: &Args,
    ) -> Result<Value, StoreError> {
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        self.redis.run(DOING, script, &keys, &args.slices()).await
    }

    async fn question(
        &self,
        at: &At,
        known: &Known,
        script: &Script,
        mut args: Args,
    ) -> Result<Marked<Reply>, StoreError> {
        self.end(at, &mut args);
        Reply::of(self.call(script, &known.keys, &args).await?)
    }

    /// By the clock that the scripts go by: the copy must not be older or newer than they are.
    async fn now(&self, at: &At, known: &Known) -> Result<Timestamp, StoreError> {
        let mut args = Args::default();
        self.end(at, &mut args);
        match self.call(&self.scripts.now, &known.keys[..1], &args).await? {
            Value::Int(now) => Ok(Timestamp::from_millis(now)),
            _ => Err(strange()),
        }
    }
}

#[async_trait]
impl SeatStore for RedisSeatStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn kept(&self, event: &Event, mark: u64) -> Result<Vec<HoldRecord>, StoreError> {
        let mut args = Args::default();
        args.add(mark);
        self.call(&self.scripts.lose, &self.known(event).keys, &args).await?;
        Ok(Vec::new())
    }

    async fn has_holds(&self, event: &Event) -> Result<bool, StoreError> {
        let known = self.known(event);
        let mut command = cmd("EXISTS");
        command.arg(&known.keys[2]).arg(&known.keys[4]);
        match self.redis.ask(DOING, &command).await? {
            Value::Int(sets) => Ok(sets > 0),
            _ => Err(strange()),
        }
    }

    async fn load(&self, at: &At, copy: SeatsCopy) -> Result<Loaded, StoreError> {
        let known = self.known(&at.event);
        let now = self.now(at, &known).await?;
        let seats = EventSeats::of_copy(&At { now, ..at.clone() }, copy);
        let staged = Staged::of(&seats, known.wire(&at.event));
        // Whatever an earlier try left behind is not mixed in.
        let load = self.loads.fetch_add(1, Ordering::Relaxed);
        let beside = known.beside(&format!("{}.{now}.{load}", at.generation));
        for command in staged.commands(&beside) {
            self.redis.ask(DOING, &command).await?;
        }
        let mut args = Args::default();
        args.add(at.generation).add(staged.count());
        let keys: Vec<_> = known.keys.iter().chain(&beside).cloned().collect();
        match self.call(&self.scripts.swap, &keys, &args).await? {
            Value::Int(1) => Ok(Loaded::Swapped),
            Value::Int(0) => Ok(Loaded::Kept),
            Value::Int(2) => Err(StoreError::unavailable(DOING, "a copy was lost in the making")),
            _ => Err(strange()),
        }
    }

    async fn lock(&self, at: &At, ask: &Lock) -> Result<Marked<Locked>, StoreError> {
        let known = self.known(&at.event);
        let locking = Locking::new(at, known.wire(&at.event), ask);
        let mut args = self.begun(at);
        locking.args(at, &mut args);
        self.end(at, &mut args);
        locking.answer(self.call(&self.scripts.lock, &known.keys[..4], &args).await?)
    }

    async fn release(
        &self,
        at: &At,
        hold: &HoldId,
        account: &AccountId,
    ) -> Result<Marked<ReleaseAnswer>, StoreError> {
        let known = self.known(&at.event);
        let mut args = self.begun(at);
        args.text(&known.wire(&at.event).short(hold)).text(account.as_str());
        let reply = self.question(at, &known, &self.scripts.release, args).await?;
        reply.read(|reply| match reply.whole()? {
            0 => Ok(ReleaseAnswer::NotFound),
            1 => Ok(ReleaseAnswer::Released),
            2 => Ok(ReleaseAnswer::NotHolder),
            3 => Ok(ReleaseAnswer::Paying),
            _ => Err(strange()),
        })
    }

    async fn pay(&self, at: &At, ask: &Pay) -> Result<Marked<Paid>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let mut args = self.begun(at);
        args.text(at.event.id.as_str()).text(ask.account.as_str());
        match &ask.target {
            BookTarget::Hold(hold) => args.text("h").text(&wire.short(hold)),
            BookTarget::Place(place) => match wire.shape.offset(*place) {
                Some(offset) => args.text("o").add(offset),
                None => args.text("x").text(""),
            },
        };
        match &ask.key {
            Some(key) => args.text(&key_text(&key.key)).text(&hash_text(&key.body_hash)),
            None => args.text("").text(""),
        };
        args.text(ask.joins.as_ref().map_or("", BookingId::as_str));
        args.text(ask.payment_token.expose());
        args.add(u64::from(at.event.terms.payment_deadline_seconds) * 1_000);
        args.add(at.event.terms.seats_per_account_max);
        let reply = self.question(at, &known, &self.scripts.pay, args).await?;
        reply.read(|reply| paid(reply, wire))
    }

    async fn unpay(&self, at: &At, booking: &BookingId) -> Result<Marked<bool>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let mut args = self.begun(at);
        let hold = booking.hold();
        args.text(&hold.as_ref().map(|hold| wire.short(hold)).unwrap_or_default());
        args.text(booking.as_str());
        let reply = self.question(at, &known, &self.scripts.unpay, args).await?;
        reply.read(|reply| Ok(reply.whole()? == 1))
    }

    async fn apply(
        &self,
        at: &At,
        outcome: &BookingOutcome,
    ) -> Result<Marked<Applied>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let booking = &outcome.booking;
        let mut args = self.begun(at);
        args.text(match outcome.seat_effect() {
            SeatEffect::Keep => "k",
            SeatEffect::Sold => "s",
            SeatEffect::Held => "h",
            SeatEffect::Free => "f",
        });
        args.text(&wire.short(&booking.hold_id)).text(booking.id.as_str()).add(booking.attempt);
        args.add(ATTEMPTS_MAX).add(u64::from(at.limits.declined_hold_seconds) * 1_000);
        let find = |item: &ledger::BookingItem| at.event.layout.find(item.item.as_str());
        let places = booking.items.iter().filter_map(find);
        let places: Vec<_> = places
            .filter_map(|place| wire.shape.offset(place))
            .map(|offset| offset.to_string())
            .collect();
        args.text(&places.join(","));
        let reply = self.question(at, &known, &self.scripts.apply, args).await?;
        reply.read(|reply| match reply.whole()? {
            0 => Ok(Applied::Already),
            1 => Ok(Applied::Done),
            2 => Ok(Applied::Unexpected),
            _ => Err(strange()),
        })
    }

    async fn reload(&self, at: &At, places: &[(u32, Truth)]) -> Result<Marked<()>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let mut args = self.begun(at);
        let found = |(place, truth)| Some((wire.shape.offset(place)?, truth));
        let places = places.iter().map(|(place, truth)| (*place, truth)).filter_map(found);
        let places: Vec<_> = places.collect();
        args.text(at.event.id.as_str()).add(places.len());
        for (offset, truth) in places {
            args.add(offset);
            match truth {
                Truth::Sold(booking, account) => {
                    args.text("s").text(booking.as_str()).text(account.as_str()).text("")
                }
                Truth::Paying(command) => {
                    let record = HoldRecord::of_command(command, &at.event.layout);
                    args.text("p").text(command.booking_id.as_str());
                    args.text(&wire.short(&record.id)).text(&wire.encode(&record))
                }
                Truth::Unclaimed(booking) => {
                    args.text("u").text(booking.as_str()).text("").text("")
                }
            };
        }
        let reply = self.question(at, &known, &self.scripts.reload, args).await?;
        reply.read(|_| Ok(()))
    }

    async fn sweep(&self, at: &At, max: usize) -> Result<Marked<Swept>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let last = known.last(at.generation);
        let mut args = self.begun(at);
        let lease = u64::from(at.event.terms.payment_deadline_seconds.max(1)) * 1_000;
        args.add(max).add(lease).text(&Letters::changes(last.as_ref()));
        let reply = self.question(at, &known, &self.scripts.sweep, args).await?;
        reply.read(|reply| {
            let (ended, holds) = (whole(reply)?, whole(reply)?);
            let letters = known.letters(at.generation, last, reply)?;
            let leased = reply.records(wire)?;
            let command = |record: HoldRecord| Some((*record.payment()?.command).clone());
            let overdue = leased.into_iter().filter_map(command).collect();
            let ended = usize::try_from(ended).unwrap_or(usize::MAX);
            Ok(Swept { ended, overdue, counts: letters.counts, holds })
        })
    }

    async fn find(&self, at: &At, which: &Find) -> Result<Marked<Vec<HoldRecord>>, StoreError> {
        let known = self.known(&at.event);
        let wire = known.wire(&at.event);
        let mut args = self.begun(at);
        match which {
            Find::Hold(hold) => args.text("h").text(&wire.short(hold)),
            Find::Account(account) => args.text("a").text(account.as_str()),
            Find::Key { account, key } => {
                args.text("k").add(format_args!("{account} {}", key_text(key)))
            }
        };
        let reply = self.question(at, &known, &self.scripts.find, args).await?;
        reply.read(|reply| reply.records(wire))
    }

    async fn snapshot(&self, at: &At) -> Result<Marked<Snapshot>, StoreError> {
        let known = self.known(&at.event);
        let last = known.last(at.generation);
        let mut args = self.begun(at);
        args.text(&Letters::changes(last.as_ref()));
        let reply = self.question(at, &known, &self.scripts.snapshot, args).await?;
        reply.read(|reply| {
            let letters = known.letters(at.generation, last, reply)?;
            let version = version_of(at.generation, letters.changes);
            Ok(Snapshot { version, places: letters.places.to_vec(), counts: letters.counts })
        })
    }
}

fn paid(reply: &mut Reply, wire: Wire<'_>) -> Result<Paid, StoreError> {
    let kind = reply.whole()?;
    let mut command = || {
        let record = reply.record(wire)?;
        let command = record.payment().map(|payment| payment.command.clone());
        command.ok_or_else(strange)
    };
    Ok(match kind {
        1 => Paid::Begun(command()?),
        2 => {
            let command = command()?;
            Paid::Live { command, keyed: reply.whole()? == 1 }
        }
        3 => Paid::Before(BookingId::parse(&reply.text()?).map_err(|_| strange())?),
        4 => Paid::Expired,
        5 => Paid::NotHolder,
        6 => Paid::NotFound,
        7 => Paid::Mismatch,
        _ => return Err(strange()),
    })
}

fn whole(reply: &mut Reply) -> Result<u64, StoreError> {
    u64::try_from(reply.whole()?).map_err(|_| strange())
}

/// A reply, if the copy gave one.
trait ReadReply {
    fn read<T>(
        self,
        how: impl FnOnce(&mut Reply) -> Result<T, StoreError>,
    ) -> Result<Marked<T>, StoreError>;
}

impl ReadReply for Marked<Reply> {
    fn read<T>(
        self,
        how: impl FnOnce(&mut Reply) -> Result<T, StoreError>,
    ) -> Result<Marked<T>, StoreError> {
        match self {
            Self::Here(mut reply) => Ok(Marked::Here(how(&mut reply)?)),
            Self::Lost => Ok(Marked::Lost),
        }
    }
}
