//! Views on ScyllaDB or Cassandra.
use super::opener::Opener;
use crate::config::Address;
use anyhow::Context;
use ledger::{Clock, Views};
use ledger_scylla::ScyllaViews;
use std::sync::Arc;

impl Opener {
    pub(super) async fn scylla_views(
        &self,
        nodes: &Address,
        keyspace: &str,
    ) -> anyhow::Result<Arc<dyn Views>> {
        let bounds = self.bounds.scylla.bounds();
        let views = ScyllaViews::open(nodes.rest(), keyspace, bounds, Clock::System).await;
        Ok(Arc::new(views.with_context(|| format!("stores.views at {}", nodes.shown()))?))
    }
}
