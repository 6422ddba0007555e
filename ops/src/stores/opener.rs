//! The one place that chooses backends: each seam's URL becomes a store, each server is opened once.
use super::watch::Probe;
use crate::config::{
    Address, BooksUrl, Configuration, GatewayUrl, LedgerBounds, LogUrl, QueueUrl, SeatsUrl,
    StoreUrls, ViewsUrl,
};
use crate::folder;
use allocator::SeatStore;
use anyhow::{Context, ensure};
use ledger::kafka::KafkaLog;
use ledger::postgres::{self, PgStore, PgViews};
use ledger::redis::{Redis, cmd};
use ledger::scylla::ScyllaViews;
use ledger::sqlite::{self, SqliteFile, SqliteJournal, SqliteLog, SqliteViews};
use ledger::{BookingId, BookingLog, Books, Clock, IdSource, QueueId, SeatJournal, Views};
use payment_worker::gateway::{HttpGateway, PaymentGateway, SimulatedGateway, Simulation};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch as channel;
use waiting_room::{Mark, QueueStore, RedisQueueStore};

/// An id that nothing has: asking for it costs a server next to nothing.
const NOTHING: &str = "none";

/// Opens stores one by one, and closes what it opened. A verb opens only what it needs.
pub(crate) struct Opener {
    data: PathBuf,
    bounds: Arc<LedgerBounds>,
    payment_worker: payment_worker::Config,
    files: HashMap<PathBuf, SqliteFile>,
    databases: HashMap<String, PgStore>,
    log: Option<KafkaLog>,
    journal: Option<SqliteJournal>,
    probes: Vec<Probe>,
}

impl Opener {
    pub(crate) fn new(config: &Configuration) -> Self {
        Self {
            data: config.data.clone(),
            bounds: config.ledger.clone(),
            payment_worker: config.payment_worker.clone(),
            files: HashMap::new(),
            databases: HashMap::new(),
            log: None,
            journal: None,
            probes: Vec::new(),
        }
    }

    /// For verbs that look at a sale; a mistyped folder is an error, not a new and empty sale.
    pub(crate) fn existing(config: &Configuration) -> anyhow::Result<Self> {
        if let BooksUrl::Sqlite(file) = &config.stores.books {
            let path = file.under(&config.data);
            ensure!(path.exists(), "there is no sale at {}", path.display());
        }
        Ok(Self::new(config))
    }

    pub(crate) async fn books(&mut self, url: &BooksUrl) -> anyhow::Result<Books> {
        let books = match url {
            BooksUrl::Sqlite(file) => {
                return Ok(sqlite::open_books(&self.record(file.under(&self.data)).await?));
            }
            BooksUrl::Postgres(address) => {
                postgres::open_books(&self.database(address).await.context("stores.books")?)
            }
        };
        let (events, nothing) = (books.events.clone(), QueueId::parse(NOTHING)?);
        self.probes.push(Probe::new("books", move || {
            let (events, nothing) = (events.clone(), nothing.clone());
            async move { events.queue(&nothing).await.map(drop) }
        }));
        Ok(books)
    }

    pub(crate) async fn log(&mut self, url: &LogUrl) -> anyhow::Result<Arc<dyn BookingLog>> {
        match url {
            LogUrl::Sqlite(file) => {
                let file = self.record(file.under(&self.data)).await?;
                Ok(Arc::new(SqliteLog::new(file, Clock::System)))
            }
            LogUrl::Kafka(brokers) => {
                let log = KafkaLog::open(brokers, self.bounds.kafka.bounds(), Clock::System).await;
                let log = log.with_context(|| format!("stores.bookings at kafka://{brokers}"))?;
                self.log = Some(log.clone());
                let asked = log.clone();
                self.probes.push(Probe::new("bookings", move || {
                    let log = asked.clone();
                    async move { log.reach().await }
                }));
                Ok(Arc::new(log))
            }
        }
    }

    pub(crate) async fn views(&mut self, urls: &StoreUrls) -> anyhow::Result<Arc<dyn Views>> {
        let views: Arc<dyn Views> = match (&urls.views, &urls.books) {
            (ViewsUrl::Sqlite(file), _) | (ViewsUrl::WithBooks, BooksUrl::Sqlite(file)) => {
                let file = self.record(file.under(&self.data)).await?;
                return Ok(Arc::new(SqliteViews::new(file)));
            }
            (ViewsUrl::Postgres(address), _)
            | (ViewsUrl::WithBooks, BooksUrl::Postgres(address)) => {
                Arc::new(PgViews::new(self.database(address).await.context("stores.views")?))
            }
            (ViewsUrl::Scylla { nodes, keyspace }, _) => {
                let bounds = self.bounds.scylla.bounds();
                let views = ScyllaViews::open(nodes.rest(), keyspace, bounds, Clock::System).await;
                Arc::new(views.with_context(|| format!("stores.views at {}", nodes.shown()))?)
            }
        };
        let (asked, nothing) = (views.clone(), BookingId::parse(NOTHING)?);
        self.probes.push(Probe::new("views", move || {
            let (views, nothing) = (asked.clone(), nothing.clone());
            async move { views.booking(&nothing).await.map(drop) }
        }));
        Ok(views)
    }

    pub(crate) async fn queue(
        &mut self,
        url: &QueueUrl,
        ids: &IdSource,
    ) -> anyhow::Result<Arc<dyn QueueStore>> {
        let address = match url {
            QueueUrl::Local => return Ok(Arc::new(waiting_room::LocalQueueStore::new())),
            QueueUrl::Redis(address) => address,
        };
        let opened = RedisQueueStore::open(address.as_str(), self.bounds.redis.bounds(), ids).await;
        let queue = opened.with_context(|| format!("stores.queue at {}", address.shown()))?;
        let (asked, nothing) = (queue.clone(), QueueId::parse(NOTHING)?);
        self.probes.push(Probe::new("queue", move || {
            let (queue, nothing) = (asked.clone(), nothing.clone());
            async move {
                let mark = Mark { queue: &nothing, generation: 0, now: Clock::System.now() };
                // There is no such queue; that the answer comes is what counts.
                queue.look(mark, None).await.map(drop)
            }
        }));
        Ok(Arc::new(queue))
    }

    pub(crate) async fn seats(&mut self, url: &SeatsUrl) -> anyhow::Result<Arc<dyn SeatStore>> {
        let address = match url {
            SeatsUrl::Local => {
                // The data folder's own file keeps the seat journal.
                let journal = SqliteJournal::new(self.record(self.data.join("tidegate.db")).await?);
                self.journal = Some(journal.clone());
                let kept: Arc<dyn SeatJournal> = Arc::new(journal);
                return Ok(Arc::new(allocator::LocalSeatStore::new(kept)));
            }
            SeatsUrl::Redis(address) => address,
        };
        let opened = Redis::open(address.as_str(), self.bounds.redis.bounds()).await;
        let redis = opened.with_context(|| format!("stores.seats at {}", address.shown()))?;
        let asked = redis.clone();
        self.probes.push(Probe::new("seats", move || {
            let redis = asked.clone();
            async move { redis.ask("asking Redis whether it is there", &cmd("PING")).await.map(drop) }
        }));
        Ok(Arc::new(allocator::RedisSeatStore::on(redis)))
    }

    /// The simulation in process keeps its own log beside the data.
    pub(crate) async fn gateway(
        &mut self,
        url: &GatewayUrl,
    ) -> anyhow::Result<Arc<dyn PaymentGateway>> {
        match url {
            GatewayUrl::Simulated(query) => {
                let simulation = Simulation::parse(query).context("payment.gateway")?;
                let migrations = &payment_worker::gateway::MIGRATIONS;
                let file = self.file(gateway_db(&self.data), migrations).await?;
                Ok(Arc::new(SimulatedGateway::new(simulation, file, Clock::System)))
            }
            GatewayUrl::Http(base) => {
                let gateway = HttpGateway::new(base, &self.payment_worker);
                Ok(Arc::new(gateway.context("payment.gateway")?))
            }
        }
    }

    pub(super) fn compact_journal(&self) {
        if let Some(journal) = &self.journal {
            journal.compact();
        }
    }

    pub(super) fn fatal(&self) -> Vec<channel::Receiver<Option<String>>> {
        self.files.values().map(SqliteFile::fatal).collect()
    }

    pub(super) fn take_probes(&mut self) -> Vec<Probe> {
        std::mem::take(&mut self.probes)
    }

    /// Waits for the writes in hand and closes everything.
    pub(crate) async fn close(self) {
        if let Some(log) = self.log {
            log.close().await;
        }
        for database in self.databases.values() {
            database.close().await;
        }
        for (_, file) in self.files {
            file.close().await;
        }
    }

    async fn database(&mut self, address: &Address) -> anyhow::Result<PgStore> {
        if let Some(database) = self.databases.get(address.as_str()) {
            return Ok(database.clone());
        }
        let database = PgStore::open(address.as_str(), self.bounds.postgres.bounds()).await;
        let database = database.with_context(|| address.shown())?;
        self.databases.insert(address.as_str().to_owned(), database.clone());
        Ok(database)
    }

    async fn record(&mut self, path: PathBuf) -> anyhow::Result<SqliteFile> {
        self.file(path, &sqlite::MIGRATIONS).await
    }

    async fn file(
        &mut self,
        path: PathBuf,
        migrations: &sqlx::migrate::Migrator,
    ) -> anyhow::Result<SqliteFile> {
        if let Some(file) = self.files.get(&path) {
            return Ok(file.clone());
        }
        folder::make(&self.data)?;
        let file = SqliteFile::open(&path, migrations).await?;
        self.files.insert(path, file.clone());
        Ok(file)
    }
}

/// Where the simulated gateway keeps its log.
pub(crate) fn gateway_db(data: &Path) -> PathBuf {
    data.join("gateway.db")
}
