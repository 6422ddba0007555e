//! `tidegate replay`: rebuilding what is derived from the record.
use super::print;
use crate::Failure;
use crate::cli::Replay;
use crate::config::Configuration;
use crate::stores::Opener;
use anyhow::Context;

pub(crate) async fn replay(config: &Configuration, flags: &Replay) -> Result<(), Failure> {
    if !flags.views {
        return Ok(());
    }
    let mut opener = Opener::existing(config)?;
    let books = opener.books(&config.stores.books).await?;
    let views = opener.views(&config.stores).await?;
    let rebuilt = ledger::projector::rebuild(books.purchase_reads.as_ref(), views.as_ref()).await;
    opener.close().await;
    print(&format!("{} bookings\n", rebuilt.context("rebuilding the views")?))
}
