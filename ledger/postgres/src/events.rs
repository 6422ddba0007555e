//! Events and queue settings in Postgres.
mod statements;

use super::store::PgStore;
use async_trait::async_trait;
use ledger::books::{
    EventCreated, Events, Layouts, LimitsChange, Patched, Queues, Raised, SeatGenerations,
};
use ledger::{
    Cursor, Event, EventId, Page, Queue, QueueId, QueuePatch, QueueSettings, StoreError, Timestamp,
};
use ledger_sql::{EventRow, parsed};
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// [`Events`] in a [`PgStore`]. Clones share the layouts that were read.
#[derive(Clone)]
pub struct PgEvents {
    store: PgStore,
    layouts: Arc<Layouts>,
}

impl PgEvents {
    pub fn new(store: PgStore) -> Self {
        Self { store, layouts: Arc::default() }
    }

    async fn with_layout(&self, row: EventRow) -> Result<Event, StoreError> {
        let read = self.store.read("reading a layout", &row.id, |connection, id| {
            Box::pin(async move {
                let layout = sqlx::query_scalar("SELECT layout FROM events WHERE id = $1")
                    .bind(id.as_str())
                    .fetch_one(connection);
                Ok(layout.await?)
            })
        });
        let layout = self.layouts.of(&row.id, read).await?;
        Ok(row.event(layout))
    }
}

#[async_trait]
impl Events for PgEvents {
    async fn create(
        &self,
        event: &Event,
        queue: Option<QueueSettings>,
    ) -> Result<EventCreated, StoreError> {
        const DOING: &str = "creating an event";
        let layout = serde_json::to_string(&*event.layout)
            .map_err(|error| StoreError::broken(DOING, error))?;
        let input = (event, layout, queue);
        let work = self.store.write(DOING, &input, |connection, (event, layout, queue)| {
            Box::pin(statements::create(connection, event, layout, *queue))
        });
        work.await?.ok_or_else(|| StoreError::broken(DOING, "the id is another event's"))
    }

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let found = self.store.read("reading an event", id, |connection, id| {
            Box::pin(statements::find(connection, id))
        });
        match found.await? {
            Some(row) => self.with_layout(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn events(&self, cursor: Cursor) -> Result<Page<Event>, StoreError> {
        let found = self.store.read("listing events", &cursor, |connection, cursor| {
            Box::pin(async move {
                let rows = sqlx::query(
                    "SELECT id, name, date, timezone, venue, on_sale_at, queue_id,
                         hold_ttl_seconds, payment_deadline_seconds, seats_per_account_max,
                         layout_version, created_at
                     FROM events
                     WHERE position > COALESCE((SELECT position FROM events WHERE id = $1), 0)
                     ORDER BY position LIMIT $2",
                )
                .bind(&cursor.after)
                .bind(i64::from(cursor.limit).saturating_add(1))
                .try_map(|row: PgRow| Ok(EventRow::read(&row)?))
                .fetch_all(connection);
                Ok(rows.await?)
            })
        });
        let page = Page::cut(found.await?, cursor.limit, |row| row.id.to_string());
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            items.push(self.with_layout(row).await?);
        }
        Ok(Page { items, next: page.next })
    }

    async fn events_of(&self, queue: &QueueId) -> Result<Vec<EventId>, StoreError> {
        let work = self.store.read("listing a queue's events", queue, |connection, queue| {
            Box::pin(async move {
                let sql = "SELECT id FROM events WHERE queue_id = $1 ORDER BY position";
                let ids = sqlx::query(sql)
                    .bind(queue.as_str())
                    .try_map(|row: PgRow| Ok(parsed(&row, "id", EventId::parse)?))
                    .fetch_all(connection);
                Ok(ids.await?)
            })
        });
        work.await
    }
}

#[async_trait]
impl Queues for PgEvents {
    async fn queue(&self, id: &QueueId) -> Result<Option<Queue>, StoreError> {
        let work = self.store.read("reading a queue", id, |connection, id| {
            Box::pin(async move {
                let found = sqlx::query("SELECT * FROM queues WHERE id = $1")
                    .bind(id.as_str())
                    .try_map(|row: PgRow| Ok(ledger_sql::queue(&row)?))
                    .fetch_optional(connection);
                Ok(found.await?)
            })
        });
        work.await
    }

    async fn queues(&self) -> Result<Vec<Queue>, StoreError> {
        let work = self.store.read("listing queues", &(), |connection, ()| {
            Box::pin(async move {
                let all = sqlx::query("SELECT * FROM queues ORDER BY id")
                    .try_map(|row: PgRow| Ok(ledger_sql::queue(&row)?))
                    .fetch_all(connection);
                Ok(all.await?)
            })
        });
        work.await
    }

    async fn patch_queue(
        &self,
        id: &QueueId,
        from: u64,
        patch: QueuePatch,
        now: Timestamp,
    ) -> Result<Patched, StoreError> {
        let input = (id, from, patch, now);
        let work = self.store.write("changing a queue", &input, |connection, input| {
            let (id, from, patch, now) = *input;
            Box::pin(statements::patch_queue(connection, id, from, patch, now))
        });
        work.await
    }

    async fn limits(&self, id: &QueueId) -> Result<Vec<LimitsChange>, StoreError> {
        let work = self.store.read("reading a queue's limits", id, |connection, id| {
            Box::pin(async move {
                let sql = "SELECT * FROM queue_limits WHERE queue_id = $1 ORDER BY revision";
                let all = sqlx::query(sql)
                    .bind(id.as_str())
                    .try_map(|row: PgRow| Ok(ledger_sql::limits(&row)?))
                    .fetch_all(connection);
                Ok(all.await?)
            })
        });
        work.await
    }
}

#[async_trait]
impl SeatGenerations for PgEvents {
    async fn seat_generation(&self, id: &EventId) -> Result<Option<u64>, StoreError> {
        let work = self.store.read("reading a seat generation", id, |connection, id| {
            Box::pin(statements::seat_generation(connection, id))
        });
        work.await
    }

    async fn raise_seat_generation(&self, id: &EventId, from: u64) -> Result<Raised, StoreError> {
        const DOING: &str = "raising a seat generation";
        let input = (id, from);
        let work = self.store.write(DOING, &input, |connection, (id, from)| {
            Box::pin(statements::raise(connection, id, *from))
        });
        work.await?.ok_or_else(|| StoreError::broken(DOING, "there is no such event"))
    }
}
