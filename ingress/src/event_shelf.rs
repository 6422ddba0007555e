//! Events kept at hand: an event and its layout never change once they are made.
use bytes::Bytes;
use ledger::books::Events;
use ledger::{Event, EventId, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

/// An event with its layout as it is shown.
pub(crate) struct Shelved {
    pub event: Arc<Event>,
    layout: OnceLock<Bytes>,
}

impl Shelved {
    /// The JSON of the layout, made by `make` the first time.
    pub(crate) fn layout(&self, make: impl FnOnce(&Event) -> Bytes) -> Bytes {
        self.layout.get_or_init(|| make(&self.event)).clone()
    }
}

/// The events that were asked for lately.
pub(crate) struct EventShelf {
    books: Arc<dyn Events>,
    shelved: RwLock<HashMap<EventId, Arc<Shelved>>>,
    events_max: usize,
}

impl EventShelf {
    pub(crate) fn new(books: Arc<dyn Events>, events_max: usize) -> Self {
        Self { books, shelved: RwLock::default(), events_max }
    }

    pub(crate) async fn event(&self, id: &EventId) -> Result<Option<Arc<Shelved>>, StoreError> {
        if let Some(found) = self.shelved.read().expect("no panic while held").get(id) {
            return Ok(Some(found.clone()));
        }
        Ok(self.books.event(id).await?.map(|event| self.keep(event)))
    }

    /// Puts an event on the shelf, or finds the same one there.
    pub(crate) fn keep(&self, event: Event) -> Arc<Shelved> {
        let mut shelved = self.shelved.write().expect("no panic while held");
        if let Some(found) = shelved.get(&event.id) {
            return found.clone();
        }
        if shelved.len() >= self.events_max {
            // Rare, and reading an event again is cheap beside keeping order here.
            shelved.clear();
        }
        let id = event.id.clone();
        let kept = Arc::new(Shelved { event: Arc::new(event), layout: OnceLock::new() });
        shelved.insert(id, kept.clone());
        kept
    }
}
