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

use crate::config::Configuration;
use allocator::SeatStore;
use ledger::{BookingLog, Books, IdSource, Views};
use payment_worker::gateway::PaymentGateway;
use std::sync::Arc;
use tokio::sync::watch as channel;
use waiting_room::QueueStore;
use watch::Probe;

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
