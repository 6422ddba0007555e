//! Who waits for a booking to change, on this node.
use crate::ids::BookingId;
use crate::lock::lock;
use crate::metrics;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// Tells those who wait for a booking that its view changed. Clones share the list. It holds one
/// entry a booking that somebody waits for, so it is bounded by the requests in flight.
#[derive(Clone, Default)]
pub struct BookingChanges(Arc<Mutex<HashMap<BookingId, watch::Sender<()>>>>);

/// One request that waits for one booking.
pub struct BookingWatch {
    id: BookingId,
    heard: watch::Receiver<()>,
    changes: BookingChanges,
}

impl BookingChanges {
    /// Starts listening; then read the view, and wait for [`BookingWatch::changed`] if it is not
    /// yet what is waited for. A change between the two is not missed.
    pub fn subscribe(&self, id: &BookingId) -> BookingWatch {
        let mut list = self.list();
        let heard = list.entry(id.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        metrics::watchers(list.len());
        drop(list);
        BookingWatch { id: id.clone(), heard, changes: self.clone() }
    }

    /// Wakes everyone who waits for one of these.
    pub(super) fn tell<'a>(&self, changed: impl Iterator<Item = &'a BookingId>) {
        let list = self.list();
        if list.is_empty() {
            return;
        }
        for sender in changed.filter_map(|id| list.get(id)) {
            sender.send_replace(());
        }
    }

    fn list(&self) -> MutexGuard<'_, HashMap<BookingId, watch::Sender<()>>> {
        lock(&self.0)
    }
}

impl BookingWatch {
    /// Returns once the view has changed since the last call, or since the start. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.heard.changed().await.is_err() {
            // The sender lives as long as this watch does; without one nothing can be heard.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for BookingWatch {
    fn drop(&mut self) {
        let mut list = self.changes.list();
        if list.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            list.remove(&self.id);
        }
        metrics::watchers(list.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_change_is_heard_once_and_by_everyone_who_waits_for_it() {
        let changes = BookingChanges::default();
        let [a, b] = ["a", "b"].map(|id| BookingId::parse(id).unwrap());
        let mut watches = [changes.subscribe(&a), changes.subscribe(&a)];
        let mut other = changes.subscribe(&b);
        changes.tell([&a].into_iter());
        for watch in &mut watches {
            assert!(watch.changed().now_or_never().is_some());
            assert!(watch.changed().now_or_never().is_none());
        }
        assert!(other.changed().now_or_never().is_none());
    }

    #[test]
    fn nothing_is_kept_of_those_who_left() {
        let changes = BookingChanges::default();
        let id = BookingId::parse("a").unwrap();
        let (first, second) = (changes.subscribe(&id), changes.subscribe(&id));
        drop(first);
        assert_eq!(changes.list().len(), 1);
        drop(second);
        assert!(changes.list().is_empty());
    }
}
