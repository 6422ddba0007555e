//! Books and views in Postgres: each database is opened once.
use super::opener::Opener;
use crate::config::Address;
use anyhow::Context;
use ledger::{Books, Views};
use ledger_postgres::{PgStore, PgViews};
use std::sync::Arc;

impl Opener {
    pub(super) async fn postgres_books(&mut self, address: &Address) -> anyhow::Result<Books> {
        Ok(ledger_postgres::open_books(&self.database(address).await.context("stores.books")?))
    }

    pub(super) async fn postgres_views(
        &mut self,
        address: &Address,
    ) -> anyhow::Result<Arc<dyn Views>> {
        Ok(Arc::new(PgViews::new(self.database(address).await.context("stores.views")?)))
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
}
