//! Events kept in memory: an event and its layout never change once they are made.
use bytes::Bytes;
use ledger::books::Events;
use ledger::{Event, EventId, StoreError, read_lock, write_lock};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

/// An event with its layout as it is shown.
pub(crate) struct CachedEvent {
    pub event: Arc<Event>,
    layout: OnceLock<Bytes>,
}

impl CachedEvent {
    /// The JSON of the layout, made by `make` the first time.
    pub(crate) fn layout(&self, make: impl FnOnce(&Event) -> Bytes) -> Bytes {
        self.layout.get_or_init(|| make(&self.event)).clone()
    }
}

/// The events that were read since the cache was last full.
pub(crate) struct EventCache {
    books: Arc<dyn Events>,
    cached: RwLock<HashMap<EventId, Arc<CachedEvent>>>,
    events_max: usize,
}

impl EventCache {
    pub(crate) fn new(books: Arc<dyn Events>, events_max: usize) -> Self {
        Self { books, cached: RwLock::default(), events_max }
    }

    pub(crate) async fn event(&self, id: &EventId) -> Result<Option<Arc<CachedEvent>>, StoreError> {
        if let Some(found) = read_lock(&self.cached).get(id) {
            return Ok(Some(found.clone()));
        }
        Ok(self.books.event(id).await?.map(|event| self.keep(event)))
    }

    /// Keeps an event, or finds the same one kept already.
    pub(crate) fn keep(&self, event: Event) -> Arc<CachedEvent> {
        let mut cached = write_lock(&self.cached);
        if let Some(found) = cached.get(&event.id) {
            return found.clone();
        }
        if cached.len() >= self.events_max {
            // Rare, and reading an event again is cheap beside keeping order here.
            cached.clear();
        }
        let id = event.id.clone();
        let kept = Arc::new(CachedEvent { event: Arc::new(event), layout: OnceLock::new() });
        cached.insert(id, kept.clone());
        kept
    }
}
