//! `tidegate replay`: rebuilding what is derived from the record.
use super::print;
use crate::Failure;
use crate::cli::Replay;
use crate::config::Configuration;
use crate::stores::Stores;
use anyhow::Context;

pub(crate) async fn replay(config: &Configuration, flags: &Replay) -> Result<(), Failure> {
    if !flags.views {
        return Ok(());
    }
    let stores = Stores::open_existing(config).await?;
    let purchases = stores.books.purchases.as_ref();
    let rebuilt = ledger::projector::rebuild(purchases, stores.views.as_ref()).await;
    stores.close().await;
    print(&format!("{} bookings\n", rebuilt.context("rebuilding the views")?))
}
