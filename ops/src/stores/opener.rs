//! The one place that chooses backends: each seam's URL becomes a store, each server is opened once.
use super::watch::Probe;
use crate::config::{
    BooksUrl, Configuration, GatewayUrl, LedgerBounds, LogUrl, QueueUrl, SeatsUrl, StoreUrls,
    ViewsUrl,
};
use crate::folder;
use allocator::SeatStore;
use anyhow::{Context, ensure};
use ledger::{BookingId, BookingLog, Books, Clock, IdSource, QueueId, SeatJournal, Views};
use ledger_sqlite::{Migrations, SqliteFile, SqliteJournal, SqliteLog, SqliteViews};
use payment_simulator::{SimulatedGateway, Simulation};
use payment_worker::gateway::{HttpGateway, PaymentGateway};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch as channel;
use waiting_room::QueueStore;

/// An id that nothing has: asking for it costs a server next to nothing.
pub(super) const NOTHING: &str = "none";

/// Opens stores one by one, and closes what it opened. A verb opens only what it needs.
pub(crate) struct Opener {
    data: PathBuf,
    /// Only servers have bounds.
    #[cfg_attr(
        not(any(feature = "redis", feature = "kafka", feature = "postgres", feature = "scylla")),
        expect(dead_code, reason = "no server is built in")
    )]
    pub(super) bounds: Arc<LedgerBounds>,
    payment_worker: payment_worker::Config,
    files: HashMap<PathBuf, SqliteFile>,
    #[cfg(feature = "postgres")]
    pub(super) databases: HashMap<String, ledger_postgres::PgStore>,
    #[cfg(feature = "kafka")]
    pub(super) log: Option<ledger_kafka::KafkaLog>,
    journal: Option<SqliteJournal>,
    pub(super) probes: Vec<Probe>,
}

impl Opener {
    pub(crate) fn new(config: &Configuration) -> Self {
        Self {
            data: config.data.clone(),
            bounds: config.ledger.clone(),
            payment_worker: config.payment_worker.clone(),
            files: HashMap::new(),
            #[cfg(feature = "postgres")]
            databases: HashMap::new(),
            #[cfg(feature = "kafka")]
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
                return Ok(ledger_sqlite::open_books(&self.record(file.under(&self.data)).await?));
            }
            BooksUrl::Postgres(address) => self.postgres_books(address).await?,
        };
        let (queues, nothing) = (books.queues.clone(), QueueId::parse(NOTHING)?);
        self.probes.push(Probe::new("books", move || {
            let (queues, nothing) = (queues.clone(), nothing.clone());
            async move { queues.queue(&nothing).await.map(drop) }
        }));
        Ok(books)
    }

    pub(crate) async fn log(&mut self, url: &LogUrl) -> anyhow::Result<Arc<dyn BookingLog>> {
        match url {
            LogUrl::Sqlite(file) => {
                let file = self.record(file.under(&self.data)).await?;
                Ok(Arc::new(SqliteLog::new(file, Clock::System)))
            }
            LogUrl::Kafka(brokers) => self.kafka_log(brokers).await,
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
                self.postgres_views(address).await?
            }
            (ViewsUrl::Scylla { nodes, keyspace }, _) => self.scylla_views(nodes, keyspace).await?,
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
        match url {
            QueueUrl::Local => Ok(Arc::new(waiting_room::LocalQueueStore::new())),
            QueueUrl::Redis(address) => self.redis_queue(address, ids).await,
        }
    }

    pub(crate) async fn seats(&mut self, url: &SeatsUrl) -> anyhow::Result<Arc<dyn SeatStore>> {
        match url {
            SeatsUrl::Local => {
                // The data folder's own file keeps the seat journal.
                let journal = SqliteJournal::new(self.record(self.data.join("tidegate.db")).await?);
                self.journal = Some(journal.clone());
                let kept: Arc<dyn SeatJournal> = Arc::new(journal);
                Ok(Arc::new(allocator::LocalSeatStore::new(kept)))
            }
            SeatsUrl::Redis(address) => self.redis_seats(address).await,
        }
    }

    /// The simulation in process keeps its own log beside the data.
    pub(crate) async fn gateway(
        &mut self,
        url: &GatewayUrl,
    ) -> anyhow::Result<Arc<dyn PaymentGateway>> {
        match url {
            GatewayUrl::Simulated(query) => {
                let simulation = Simulation::parse(query).context("payment.gateway")?;
                let migrations = &payment_simulator::MIGRATIONS;
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
        #[cfg(feature = "kafka")]
        if let Some(log) = self.log {
            log.close().await;
        }
        #[cfg(feature = "postgres")]
        for database in self.databases.values() {
            database.close().await;
        }
        for (_, file) in self.files {
            file.close().await;
        }
    }

    async fn record(&mut self, path: PathBuf) -> anyhow::Result<SqliteFile> {
        self.file(path, &ledger_sqlite::MIGRATIONS).await
    }

    async fn file(&mut self, path: PathBuf, migrations: &Migrations) -> anyhow::Result<SqliteFile> {
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
