//! Events and queue settings in SQLite.
mod statements;

use self::statements::{
    SELECT_EVENT, SELECT_EVENTS, insert_event, insert_limits, insert_queue, write_settings,
};
use super::{Connection, SqliteFile};
use async_trait::async_trait;
use ledger::books::{
    EventCreated, Events, Layouts, LimitsChange, Patched, Queues, Raised, SeatGenerations,
};
use ledger::{
    Cursor, Event, EventId, Page, Queue, QueueId, QueuePatch, QueueSettings, StoreError, Timestamp,
};
use ledger_sql::{EventRow, count, parsed, signed};
use rusqlite::Error;
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
        let id = row.id.clone();
        let read = self.file.read("reading a layout", move |connection| {
            let sql = "SELECT layout FROM events WHERE id = ?1";
            connection.one(sql, [id.as_str()], |row| row.text("layout").map(str::to_owned))
        });
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
        let created = self.file.write(DOING, move |c| create(c, &event, &layout, queue));
        created.await?.ok_or_else(|| StoreError::broken(DOING, "the id is another event's"))
    }

    async fn event(&self, id: &EventId) -> Result<Option<Event>, StoreError> {
        let id = id.clone();
        let found = self.file.read("reading an event", move |connection| {
            connection.optional(SELECT_EVENT, [id.as_str()], EventRow::read)
        });
        match found.await? {
            Some(row) => self.with_layout(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn events(&self, cursor: Cursor) -> Result<Page<Event>, StoreError> {
        let params = (cursor.after, i64::from(cursor.limit).saturating_add(1));
        let rows = self.file.read("listing events", move |connection| {
            connection.all(SELECT_EVENTS, params, EventRow::read)
        });
        let page = Page::cut(rows.await?, cursor.limit, |row| row.id.to_string());
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            items.push(self.with_layout(row).await?);
        }
        Ok(Page { items, next: page.next })
    }

    async fn events_of(&self, queue: &QueueId) -> Result<Vec<EventId>, StoreError> {
        let queue = queue.clone();
        let ids = self.file.read("listing a queue's events", move |connection| {
            let sql = "SELECT id FROM events WHERE queue_id = ?1 ORDER BY position";
            connection.all(sql, [queue.as_str()], |row| parsed(row, "id", EventId::parse))
        });
        ids.await
    }
}

#[async_trait]
impl Queues for SqliteEvents {
    async fn queue(&self, id: &QueueId) -> Result<Option<Queue>, StoreError> {
        let id = id.clone();
        self.file.read("reading a queue", move |connection| queue(connection, &id)).await
    }

    async fn queues(&self) -> Result<Vec<Queue>, StoreError> {
        let all = self.file.read("listing queues", |connection| {
            connection.all("SELECT * FROM queues ORDER BY id", (), ledger_sql::queue)
        });
        all.await
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
            patch_queue(connection, &id, from, patch, now)
        });
        patched.await
    }

    async fn limits(&self, id: &QueueId) -> Result<Vec<LimitsChange>, StoreError> {
        let id = id.clone();
        let all = self.file.read("reading a queue's limits", move |connection| {
            let sql = "SELECT * FROM queue_limits WHERE queue_id = ?1 ORDER BY revision";
            connection.all(sql, [id.as_str()], ledger_sql::limits)
        });
        all.await
    }
}

#[async_trait]
impl SeatGenerations for SqliteEvents {
    async fn seat_generation(&self, id: &EventId) -> Result<Option<u64>, StoreError> {
        let id = id.clone();
        self.file.read("reading a seat generation", move |c| seat_generation(c, &id)).await
    }

    async fn raise_seat_generation(&self, id: &EventId, from: u64) -> Result<Raised, StoreError> {
        const DOING: &str = "raising a seat generation";
        let id = id.clone();
        let raised = self.file.write(DOING, move |connection| raise(connection, &id, from));
        raised.await?.ok_or_else(|| StoreError::broken(DOING, "there is no such event"))
    }
}

/// `None` when another event has the id. The same event again is a call whose reply was lost.
fn create(
    connection: &Connection,
    event: &Event,
    layout: &str,
    queue: Option<QueueSettings>,
) -> Result<Option<EventCreated>, Error> {
    let existing = connection.optional(SELECT_EVENT, [event.id.as_str()], EventRow::read)?;
    if let Some(existing) = existing {
        let same = existing.event(event.layout.clone()) == *event;
        return Ok(same.then_some(EventCreated::Created));
    }
    let exists = self::queue(connection, &event.queue_id)?.is_some();
    match queue {
        None if !exists => return Ok(Some(EventCreated::NoSuchQueue)),
        Some(settings) if !exists => insert_queue(connection, event, settings)?,
        // The event joins a queue that keeps its own settings.
        None | Some(_) => {}
    }
    insert_event(connection, event, layout)?;
    Ok(Some(EventCreated::Created))
}

fn queue(connection: &Connection, id: &QueueId) -> Result<Option<Queue>, Error> {
    connection.optional("SELECT * FROM queues WHERE id = ?1", [id.as_str()], ledger_sql::queue)
}

fn patch_queue(
    connection: &Connection,
    id: &QueueId,
    from: u64,
    patch: QueuePatch,
    now: Timestamp,
) -> Result<Patched, Error> {
    let Some(old) = queue(connection, id)? else { return Ok(Patched::NoSuchQueue) };
    if old.revision != from {
        return Ok(Patched::Stale);
    }
    let settings = patch.applied_to(old.settings);
    let queue = Queue { settings, revision: old.revision.saturating_add(1), ..old };
    write_settings(connection, &queue)?;
    insert_limits(connection, &queue, now)?;
    Ok(Patched::Done(queue))
}

fn seat_generation(connection: &Connection, id: &EventId) -> Result<Option<u64>, Error> {
    let sql = "SELECT seat_generation FROM events WHERE id = ?1";
    connection.optional(sql, [id.as_str()], |row| count(row, "seat_generation"))
}

fn raise(connection: &Connection, id: &EventId, from: u64) -> Result<Option<Raised>, Error> {
    let raised = connection.optional(
        "UPDATE events SET seat_generation = seat_generation + 1
         WHERE id = ?1 AND seat_generation = ?2 RETURNING seat_generation",
        (id.as_str(), signed(from)),
        |row| count(row, "seat_generation"),
    )?;
    if let Some(generation) = raised {
        return Ok(Some(Raised::Won(generation)));
    }
    Ok(seat_generation(connection, id)?.map(Raised::Lost))
}
