//! The one place that chooses backends: each seam's URL becomes a store.
use crate::config::{Configuration, GatewayUrl, QueueUrl, RecordUrl, SeatsUrl};
use crate::folder;
use allocator::SeatStore;
use anyhow::{Context, ensure};
use ledger::sqlite::{self, SqliteFile, SqliteJournal, SqliteLog, SqliteViews};
use ledger::{BookingLog, Books, Clock, SeatJournal, Views};
use payment_worker::gateway::{HttpGateway, PaymentGateway, SimulatedGateway, Simulation};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use waiting_room::QueueStore;

/// Every seam with its backend.
pub(crate) struct Stores {
    pub(crate) books: Books,
    pub(crate) log: Arc<dyn BookingLog>,
    pub(crate) views: Arc<dyn Views>,
    pub(crate) queue: Arc<dyn QueueStore>,
    pub(crate) seats: Arc<dyn SeatStore>,
    pub(crate) gateway: Arc<dyn PaymentGateway>,
    journal: SqliteJournal,
    files: Files,
}

/// The SQLite files that are open, each once.
struct Files {
    data: PathBuf,
    open: HashMap<PathBuf, SqliteFile>,
}

impl Stores {
    /// Opens what is there; a mistyped folder is an error, not a new and empty sale.
    pub(crate) async fn open_existing(config: &Configuration) -> anyhow::Result<Self> {
        let path = config.stores.books.path(&config.data);
        ensure!(path.exists(), "there is no sale at {}", path.display());
        Self::open(config).await
    }

    /// Opens what the configuration names, making and migrating what is missing.
    pub(crate) async fn open(config: &Configuration) -> anyhow::Result<Self> {
        folder::make(&config.data)?;
        let mut files = Files { data: config.data.clone(), open: HashMap::new() };
        let urls = &config.stores;
        let books = sqlite::open_books(&files.record(&urls.books).await?);
        let log = Arc::new(SqliteLog::new(files.record(&urls.bookings).await?, Clock::System));
        let views = Arc::new(SqliteViews::new(files.record(&urls.views).await?));
        let QueueUrl::Local = urls.queue;
        let queue = Arc::new(waiting_room::LocalQueueStore::new());
        let SeatsUrl::Local = urls.seats;
        let journal = SqliteJournal::new(files.tidegate_db().await?);
        let kept: Arc<dyn SeatJournal> = Arc::new(journal.clone());
        let seats = Arc::new(allocator::LocalSeatStore::new(kept));
        let gateway = gateway(config, &mut files).await?;
        Ok(Self { books, log, views, queue, seats, gateway, journal, files })
    }

    /// What only the one `serve` on the data folder may tidy.
    pub(crate) fn tidy(&self) {
        self.journal.compact();
    }

    /// Each becomes `Some` when its store has failed for good.
    pub(crate) fn fatal(&self) -> Vec<watch::Receiver<Option<String>>> {
        self.files.fatal()
    }

    /// Waits for the writes in hand and closes every file.
    pub(crate) async fn close(self) {
        let Self { files, .. } = self;
        for (_, file) in files.open {
            file.close().await;
        }
    }
}

impl Files {
    async fn record(&mut self, url: &RecordUrl) -> anyhow::Result<SqliteFile> {
        let path = url.path(&self.data);
        self.open(path, &sqlite::MIGRATIONS).await
    }

    /// The data folder's own file, which also keeps the seat journal.
    async fn tidegate_db(&mut self) -> anyhow::Result<SqliteFile> {
        self.open(self.data.join("tidegate.db"), &sqlite::MIGRATIONS).await
    }

    async fn open(
        &mut self,
        path: PathBuf,
        migrations: &sqlx::migrate::Migrator,
    ) -> anyhow::Result<SqliteFile> {
        if let Some(file) = self.open.get(&path) {
            return Ok(file.clone());
        }
        let file = SqliteFile::open(&path, migrations).await?;
        self.open.insert(path, file.clone());
        Ok(file)
    }

    fn fatal(&self) -> Vec<watch::Receiver<Option<String>>> {
        self.open.values().map(SqliteFile::fatal).collect()
    }
}

/// The gateway that the configuration names; the simulation keeps its own log beside the data.
async fn gateway(
    config: &Configuration,
    files: &mut Files,
) -> anyhow::Result<Arc<dyn PaymentGateway>> {
    match &config.payment.gateway {
        GatewayUrl::Simulated(query) => {
            let simulation = Simulation::parse(query).context("payment.gateway")?;
            let path = gateway_db(&config.data);
            let file = files.open(path, &payment_worker::gateway::MIGRATIONS).await?;
            Ok(Arc::new(SimulatedGateway::new(simulation, file, Clock::System)))
        }
        GatewayUrl::Http(base) => {
            let gateway = HttpGateway::new(base, &config.payment_worker);
            Ok(Arc::new(gateway.context("payment.gateway")?))
        }
    }
}

/// Where the simulated gateway keeps its log.
pub(crate) fn gateway_db(data: &Path) -> PathBuf {
    data.join("gateway.db")
}
