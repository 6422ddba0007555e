//! Events and queue settings in SQLite.
mod statements;

use self::statements::{
    SELECT_EVENT, SELECT_EVENTS, insert_event, insert_limits, insert_queue, write_settings,
};
use super::SqliteFile;
use super::row::{count, parsed, signed, unread};
use async_trait::async_trait;
use ledger::books::{
    EventCreated, Events, Layouts, LimitsChange, Patched, Queues, Raised, SeatGenerations,
};
use ledger::{
    Cursor, Event, EventId, Page, Queue, QueueId, QueuePatch, QueueSettings, StoreError, Timestamp,
};
use ledger_sql::EventRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, SqliteConnection};
use std::sync::Arc;

/// [`Events`] in a [`SqliteFile`]. Clones share the layouts that were read.
#[derive(Clone)]
pub struct SqliteEvents {
    file: SqliteFile,
    layouts: Arc<Layouts>,
}

impl SqliteEvents {
    pub fn new(file: SqliteFile) -> Self {
        Self { file, layouts: Arc::default() }
    }

    async fn with_layout(&self, row: EventRow) -> Result<Event, StoreError> {
        let read = sqlx::query_scalar("SELECT layout FROM events WHERE id = ?")
            .bind(row.id.as_str())
            .fetch_one(self.file.readers());
        let read = async { read.await.map_err(unread("reading a layout")) };
        let layout = self.layouts.of(&row.id, read).await?;
        Ok(row.event(layout))
    }
}

#[async_trait]
impl Events for SqliteEvents {
    async fn create(
        &self,
        event: &Event,
        queue: Option<QueueSettings>,
    ) -> Result<EventCreated, StoreError> {
        const DOING: &str = "creating an event";
        let event = event.clone();
        let layout = serde_json::to_string(&*event.layout)
            .map_err(|error| StoreError::broken(DOING, error))?;
        let created = self.file.write(DOING, move |connection| {
            Box::pin(async move { create(connection, &event, &layout, queue).await })
        });
        created.await?.ok_or_else(|| StoreError::broken(DOING, "the id is another event's"))
    }

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let found = sqlx::query(SELECT_EVENT)
            .bind(id.as_str())
            .try_map(|row: SqliteRow| Ok(EventRow::read(&row)?))
            .fetch_optional(self.file.readers());
        match found.await.map_err(unread("reading an event"))? {
            Some(row) => self.with_layout(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn events(&self, cursor: Cursor) -> Result<Page<Event>, StoreError> {
        let rows = sqlx::query(SELECT_EVENTS)
            .bind(cursor.after)
            .bind(i64::from(cursor.limit).saturating_add(1))
            .try_map(|row: SqliteRow| Ok(EventRow::read(&row)?))
            .fetch_all(self.file.readers());
        let rows = rows.await.map_err(unread("listing events"))?;
        let page = Page::cut(rows, cursor.limit, |row| row.id.to_string());
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            items.push(self.with_layout(row).await?);
        }
        Ok(Page { items, next: page.next })
    }

    async fn events_of(&self, queue: &QueueId) -> Result<Vec<EventId>, StoreError> {
        let ids = sqlx::query("SELECT id FROM events WHERE queue_id = ? ORDER BY position")
            .bind(queue.as_str())
            .try_map(|row: SqliteRow| Ok(parsed(&row, "id", EventId::parse)?))
            .fetch_all(self.file.readers());
        ids.await.map_err(unread("listing a queue's events"))
    }
}

#[async_trait]
impl Queues for SqliteEvents {
    async fn queue(&self, id: &QueueId) -> Result<Option<Queue>, StoreError> {
        let found = sqlx::query("SELECT * FROM queues WHERE id = ?")
            .bind(id.as_str())
            .try_map(|row: SqliteRow| Ok(ledger_sql::queue(&row)?))
            .fetch_optional(self.file.readers());
        found.await.map_err(unread("reading a queue"))
    }

    async fn queues(&self) -> Result<Vec<Queue>, StoreError> {
        let all = sqlx::query("SELECT * FROM queues ORDER BY id")
            .try_map(|row: SqliteRow| Ok(ledger_sql::queue(&row)?))
            .fetch_all(self.file.readers());
        all.await.map_err(unread("listing queues"))
    }

    async fn patch_queue(
        &self,
        id: &QueueId,
        from: u64,
        patch: QueuePatch,
        now: Timestamp,
    ) -> Result<Patched, StoreError> {
        let id = id.clone();
        let patched = self.file.write("changing a queue", move |connection| {
            Box::pin(async move { patch_queue(connection, &id, from, patch, now).await })
        });
        patched.await
    }

    async fn limits(&self, id: &QueueId) -> Result<Vec<LimitsChange>, StoreError> {
        let all = sqlx::query("SELECT * FROM queue_limits WHERE queue_id = ? ORDER BY revision")
            .bind(id.as_str())
            .try_map(|row: SqliteRow| Ok(ledger_sql::limits(&row)?))
            .fetch_all(self.file.readers());
        all.await.map_err(unread("reading a queue's limits"))
    }
}

#[async_trait]
impl SeatGenerations for SqliteEvents {
    async fn seat_generation(&self, id: &EventId) -> Result<Option<u64>, StoreError> {
        let found = sqlx::query("SELECT seat_generation FROM events WHERE id = ?")
            .bind(id.as_str())
            .try_map(|row: SqliteRow| Ok(count(&row, "seat_generation")?))
            .fetch_optional(self.file.readers());
        found.await.map_err(unread("reading a seat generation"))
    }

    async fn raise_seat_generation(&self, id: &EventId, from: u64) -> Result<Raised, StoreError> {
        const DOING: &str = "raising a seat generation";
        let id = id.clone();
        let raised = self.file.write(DOING, move |connection| {
            Box::pin(async move { raise(connection, &id, from).await })
        });
        raised.await?.ok_or_else(|| StoreError::broken(DOING, "there is no such event"))
    }
}

/// `None` when another event has the id. The same event again is a call whose reply was lost.
async fn create(
    connection: &mut SqliteConnection,
    event: &Event,
    layout: &str,
    queue: Option<QueueSettings>,
) -> Result<Option<EventCreated>, Error> {
    let existing = sqlx::query(SELECT_EVENT)
        .bind(event.id.as_str())
        .try_map(|row: SqliteRow| Ok(EventRow::read(&row)?))
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(existing) = existing {
        let same = existing.event(event.layout.clone()) == *event;
        return Ok(same.then_some(EventCreated::Created));
    }
    let exists = sqlx::query("SELECT 1 FROM queues WHERE id = ?")
        .bind(event.queue_id.as_str())
        .fetch_optional(&mut *connection)
        .await?
        .is_some();
    match queue {
        None if !exists => return Ok(Some(EventCreated::NoSuchQueue)),
        Some(settings) if !exists => insert_queue(connection, event, settings).await?,
        // The event joins a queue that keeps its own settings.
        None | Some(_) => {}
    }
    insert_event(connection, event, layout).await?;
    Ok(Some(EventCreated::Created))
}

async fn patch_queue(
    connection: &mut SqliteConnection,
    id: &QueueId,
    from: u64,
    patch: QueuePatch,
    now: Timestamp,
) -> Result<Patched, Error> {
    let found = sqlx::query("SELECT * FROM queues WHERE id = ?")
        .bind(id.as_str())
        .try_map(|row: SqliteRow| Ok(ledger_sql::queue(&row)?))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(old) = found else { return Ok(Patched::NoSuchQueue) };
    if old.revision != from {
        return Ok(Patched::Stale);
    }
    let settings = patch.applied_to(old.settings);
    let queue = Queue { settings, revision: old.revision.saturating_add(1), ..old };
    write_settings(connection, &queue).await?;
    insert_limits(connection, &queue, now).await?;
    Ok(Patched::Done(queue))
}

async fn raise(
    connection: &mut SqliteConnection,
    id: &EventId,
    from: u64,
) -> Result<Option<Raised>, Error> {
    let raised = sqlx::query(
        "UPDATE events SET seat_generation = seat_generation + 1
         WHERE id = ? AND seat_generation = ? RETURNING seat_generation",
    )
    .bind(id.as_str())
    .bind(signed(from))
    .try_map(|row: SqliteRow| Ok(count(&row, "seat_generation")?))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(generation) = raised {
        return Ok(Some(Raised::Won(generation)));
    }
    let current = sqlx::query("SELECT seat_generation FROM events WHERE id = ?")
        .bind(id.as_str())
        .try_map(|row: SqliteRow| Ok(count(&row, "seat_generation")?))
        .fetch_optional(connection);
    Ok(current.await?.map(Raised::Lost))
}
