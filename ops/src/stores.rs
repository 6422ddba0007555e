//! Every seam with the backend that the configuration chose for it.
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(not(all(feature = "redis", feature = "kafka", feature = "postgres", feature = "scylla")))]
mod left_out;
mod opener;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "scylla")]
mod scylla;
mod watch;

pub(crate) use opener::{Opener, gateway_db};
pub(crate) use watch::StoreWatch;

use crate::config::{BooksUrl, Configuration, GatewayUrl};
use allocator::SeatStore;
use anyhow::{Context, ensure};
use ledger::{BookingLog, Books, Cursor, IdSource, Views};
use payment_worker::gateway::PaymentGateway;
use std::sync::Arc;
use tokio::sync::watch as channel;
use waiting_room::QueueStore;
use watch::Probe;

/// The simulated gateway keeps its log beside the books. One that has taken money for books that
/// know of no purchase means that the books were lost or moved: to go on with empty ones would sell
/// every seat again.
async fn refuse_lost_books(opener: &mut Opener, config: &Configuration) -> anyhow::Result<()> {
    let (BooksUrl::Sqlite(file), GatewayUrl::Simulated(_)) =
        (&config.stores.books, &config.payment.gateway)
    else {
        return Ok(());
    };
    if !gateway_db(&config.data).exists() {
        return Ok(());
    }
    let path = file.under(&config.data);
    let first = || Cursor { after: None, limit: 1 };
    let is_empty = match std::fs::metadata(&path) {
        Ok(file) if file.len() > 0 => {
            let books = opener.books(&config.stores.books).await?;
            books.purchase_reads.purchases(first()).await?.items.is_empty()
        }
        Ok(_) | Err(_) => true,
    };
    if is_empty {
        let gateway = opener.gateway(&config.payment.gateway).await?;
        let charges = gateway.charges(first()).await.context("reading the gateway's log")?;
        ensure!(
            charges.items.is_empty(),
            "{} has no bookings, but {} beside it has charges for some: put the books back, or take \
             both files away for a new sale",
            path.display(),
            gateway_db(&config.data).display()
        );
    }
    Ok(())
}

/// What a node sells on.
pub(crate) struct Stores {
    pub(crate) books: Books,
    pub(crate) log: Arc<dyn BookingLog>,
    pub(crate) views: Arc<dyn Views>,
    pub(crate) queue: Arc<dyn QueueStore>,
    pub(crate) seats: Arc<dyn SeatStore>,
    pub(crate) gateway: Arc<dyn PaymentGateway>,
    opener: Opener,
}

impl Stores {
    /// Opens what the configuration names, making and migrating what is missing.
    pub(crate) async fn open(config: &Configuration, ids: &IdSource) -> anyhow::Result<Self> {
        let mut opener = Opener::new(config);
        let urls = &config.stores;
        refuse_lost_books(&mut opener, config).await?;
        Ok(Self {
            books: opener.books(&urls.books).await?,
            log: opener.log(&urls.bookings).await?,
            views: opener.views(urls).await?,
            queue: opener.queue(&urls.queue, ids).await?,
            seats: opener.seats(&urls.seats).await?,
            gateway: opener.gateway(&config.payment.gateway).await?,
            opener,
        })
    }

    /// What only the one `serve` on the data folder may tidy.
    pub(crate) fn tidy(&self) {
        self.opener.compact_journal();
    }

    /// Each becomes `Some` when its store has failed for good.
    pub(crate) fn fatal(&self) -> Vec<channel::Receiver<Option<String>>> {
        self.opener.fatal()
    }

    /// How to ask each server whether it answers.
    pub(crate) fn probes(&mut self) -> Vec<Probe> {
        self.opener.take_probes()
    }

    /// Waits for the writes in hand and closes everything.
    pub(crate) async fn close(self) {
        let Self { opener, .. } = self;
        opener.close().await;
    }
}
