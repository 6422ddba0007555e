//! A Redis of our own, and an allocator on it with one fresh event after the other.
use crate::bench::defaults;
use crate::operator::Scratch;
use allocator::store::{CopyRef, Limits, Lock};
use allocator::{Config, LockAnswer, LockRequest, Parts, SeatAllocator, SeatStore, Wish};
use allocator_redis::{RedisSeatStore, ScriptCall};
use anyhow::{Context, bail};
use ledger::{
    Books, Clock, Currency, Event, EventId, IdSource, Layout, Money, QueueId, QueueSettings, Row,
    SaleTerms, Seating, Section, SectionId,
};
use ledger_sqlite::{MIGRATIONS, SqliteFile, SqliteLog, open_books};
use redis_client::{Redis, RedisBounds, Value, cmd};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Places of an event.
pub(super) const PLACES: u32 = 200_000;
const ROW_SEATS: u32 = 20;
const SECTIONS: u32 = 10;
const READY_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Fixture {
    redis: Redis,
    server: Child,
    port: u16,
    pub(super) store: Arc<RedisSeatStore>,
    pub(super) seats: SeatAllocator,
    books: Books,
    ids: IdSource,
    config: Config,
    _scratch: Scratch,
}

/// One event on sale.
#[derive(Clone)]
pub(super) struct Sale {
    pub(super) event: Arc<Event>,
    generation: u64,
    store: Arc<RedisSeatStore>,
    seats: SeatAllocator,
    redis: Redis,
    ids: IdSource,
    config: Config,
}

impl Fixture {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let scratch = Scratch::new("hold")?;
        let (server, port) = start_redis(&scratch).await?;
        let redis = connect(port).await?;
        let store = Arc::new(RedisSeatStore::on(redis.clone()));
        let file = SqliteFile::open(&scratch.path().join("hold.db"), &MIGRATIONS).await?;
        let (books, ids) = (open_books(&file), IdSource::system());
        let config: Config = defaults::of_stage("allocator")?;
        let seats = SeatAllocator::new(Parts {
            store: store.clone(),
            purchases: books.purchase_reads.clone(),
            events: books.events.clone(),
            generations: books.seat_generations.clone(),
            log: Arc::new(SqliteLog::new(file, Clock::System)),
            clock: Clock::System,
            ids: ids.clone(),
            config: config.clone(),
        });
        Ok(Self { redis, server, port, store, seats, books, ids, config, _scratch: scratch })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.server.id().context("Redis has ended")
    }

    /// An event in the books, and nothing of it in Redis.
    pub(super) async fn event(&self, hold_ttl_seconds: u32) -> anyhow::Result<Sale> {
        let event = Arc::new(event(&self.ids, hold_ttl_seconds)?);
        let queue = Some(QueueSettings::default());
        self.books.events.create(&event, queue).await.context("making an event")?;
        let (store, seats) = (self.store.clone(), self.seats.clone());
        let generation = self.generation(&event).await?;
        let (redis, ids, config) = (self.redis.clone(), self.ids.clone(), self.config.clone());
        Ok(Sale { event, generation, store, seats, redis, ids, config })
    }

    /// An event whose copy is in Redis, with seats for everybody.
    pub(super) async fn sale(&self) -> anyhow::Result<Sale> {
        let sale = self.event(3_600).await?;
        // The allocator finds nothing and loads the copy, under a generation of its own.
        self.seats.holds(&sale.event.id, &self.ids.account(Clock::System.now())).await?;
        Ok(Sale { generation: self.generation(&sale.event).await?, ..sale })
    }

    async fn generation(&self, event: &Event) -> anyhow::Result<u64> {
        let generation = self.books.seat_generations.seat_generation(&event.id).await?;
        generation.context("the event is not in the books")
    }
}

impl Sale {
    /// One hold of the best seats, for somebody new.
    pub(super) async fn hold(&self, quantity: u32) -> anyhow::Result<()> {
        let request = LockRequest {
            event: self.event.clone(),
            account: self.ids.account(Clock::System.now()),
            slot: None,
            wish: Wish::Best { quantity, section: None },
            together: true,
            key: None,
        };
        match self.seats.lock(request).await? {
            LockAnswer::Held(_) => Ok(()),
            other => bail!("{other:?} instead of a hold"),
        }
    }

    /// Sends a call as it stands; it must make a hold.
    pub(super) async fn try_call(&self, call: &ScriptCall) -> anyhow::Result<()> {
        let mut command = cmd("EVALSHA");
        command.arg(&call.hash).arg(call.keys.len()).arg(&call.keys).arg(&call.args);
        match self.redis.call("holding", &command).await? {
            Value::BulkString(held) if held.starts_with(b"B") => Ok(()),
            other => bail!("the script answers {other:?}"),
        }
    }

    /// What such a hold sends to Redis.
    pub(super) fn lock_call(&self, quantity: u32) -> ScriptCall {
        let now = Clock::System.now();
        let ask = Lock {
            account: self.ids.account(now),
            slot: None,
            wish: Wish::Best { quantity, section: None },
            key: None,
            minted: self.ids.hold(&self.event.id, now),
        };
        self.store.lock_call(&self.at(), &ask)
    }

    pub(super) fn at(&self) -> CopyRef {
        let (config, event) = (&self.config, self.event.clone());
        let limits = Limits {
            key_seconds: config.key_seconds,
            declined_hold_seconds: config.declined_hold_seconds,
        };
        CopyRef { event, generation: self.generation, now: Clock::System.now(), limits }
    }

    /// Holds that have a time to end.
    pub(super) async fn holds(&self) -> anyhow::Result<u64> {
        let keys = self.lock_call(1).keys;
        let due = keys.get(2).context("the script has no key of holds by their end")?;
        match self.redis.call("counting holds", cmd("ZCARD").arg(due)).await? {
            Value::Int(count) => Ok(count.try_into()?),
            other => bail!("{other:?} is no count"),
        }
    }

    /// Takes the event's copy out of Redis.
    pub(super) async fn remove(&self) -> anyhow::Result<()> {
        let keys = self.lock_call(1).keys;
        self.redis.call("removing an event", cmd("DEL").arg(keys)).await?;
        Ok(())
    }

    pub(super) fn id(&self) -> &EventId {
        &self.event.id
    }

    pub(super) fn store(&self) -> &dyn SeatStore {
        &*self.store
    }

    pub(super) fn ids(&self) -> &IdSource {
        &self.ids
    }
}

fn event(ids: &IdSource, hold_ttl_seconds: u32) -> anyhow::Result<Event> {
    let now = Clock::System.now();
    let id = ids.event(now);
    let rows = PLACES / SECTIONS / ROW_SEATS;
    let section = |at: u32| -> anyhow::Result<Section> {
        let seats: Vec<_> = (1..=ROW_SEATS).map(|seat| Some(seat.to_string())).collect();
        let rows = (1..=rows).map(|row| Row { name: row.to_string(), seats: seats.clone() });
        Ok(Section {
            id: SectionId::parse(&format!("block-{at}"))?,
            name: format!("Block {at}"),
            price: Money::new(7_500, Currency::EUR),
            seating: Seating::Rows(rows.collect()),
        })
    };
    let sections = (1..=SECTIONS).map(section).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Event {
        queue_id: QueueId::from(&id),
        id,
        name: "Bench".to_owned(),
        date: "2030-06-01".to_owned(),
        timezone: "UTC".to_owned(),
        venue: "The load test".to_owned(),
        on_sale_at: now,
        terms: SaleTerms { hold_ttl_seconds, ..SaleTerms::default() },
        layout_version: 1,
        layout: Arc::new(Layout::new(sections).context("laying out a hall")?),
        created_at: now,
    })
}

/// As `ops/dev` has it: nothing kept, nothing evicted.
async fn start_redis(scratch: &Scratch) -> anyhow::Result<(Child, u16)> {
    let port = crate::operator::free_port()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--save", "", "--appendonly", "no"]);
    command.args(["--maxmemory", "4gb", "--maxmemory-policy", "noeviction"]);
    command.arg("--dir").arg(scratch.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let server = command.spawn().context("starting redis-server")?;
    let since = Instant::now();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if since.elapsed() > READY_WITHIN {
            bail!("redis-server does not listen");
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok((server, port))
}

async fn connect(port: u16) -> anyhow::Result<Redis> {
    let bounds = RedisBounds {
        connect_timeout_ms: 5_000,
        response_timeout_ms: 60_000,
        inflight_max: 100_000,
    };
    Ok(Redis::open(&format!("redis://127.0.0.1:{port}"), bounds).await?)
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // Its folder goes next, and nothing of it is to be kept.
        let _ = self.server.start_kill();
    }
}
