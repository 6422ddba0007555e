//! The seat map that everyone sees: built at most once per age, the same bytes for everyone.
use crate::grid::{Counts, SeatState};
use crate::recovery::EventSlot;
use crate::store::Snapshot;
use crate::{Availability, Error, SeatAllocator, SeatsShown};
use ledger::{Event, EventId, Seating, Timestamp};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// The last map of one event.
#[derive(Default)]
pub(crate) struct SeatMap {
    built: RwLock<Option<Built>>,
    building: Mutex<()>,
}

#[derive(Clone)]
struct Built {
    at: Timestamp,
    version: u64,
    shown: Arc<SeatsShown>,
    availability: Availability,
}

impl SeatAllocator {
    /// The seat map, at most `seats_age_max_ms` old. `None`: no such event.
    pub async fn seats(&self, event: &EventId) -> Result<Option<Arc<SeatsShown>>, Error> {
        let Some(slot) = self.slot_of(event).await? else { return Ok(None) };
        Ok(Some(self.map(&slot).await?.shown))
    }

    /// How many places are in which state, as old as the seat map. `None`: no such event.
    pub async fn availability(&self, event: &EventId) -> Result<Option<Availability>, Error> {
        let Some(slot) = self.slot_of(event).await? else { return Ok(None) };
        Ok(Some(self.map(&slot).await?.availability))
    }

    async fn map(&self, slot: &EventSlot) -> Result<Built, Error> {
        if let Some(built) = self.fresh(slot) {
            return Ok(built);
        }
        let _one_builds = slot.map.building.lock().await;
        if let Some(built) = self.fresh(slot) {
            return Ok(built);
        }
        let at = self.parts().clock.now();
        let store = &self.parts().store;
        let snapshot = self.ask(slot, |at| async move { store.snapshot(&at).await }).await?;
        let last = slot.map.last().filter(|last| last.version == snapshot.version);
        let built = match last {
            Some(last) => Built { at, ..last },
            None => Built::of(slot.event(), &snapshot, at),
        };
        *slot.map.built.write().unwrap_or_else(PoisonError::into_inner) = Some(built.clone());
        Ok(built)
    }

    fn fresh(&self, slot: &EventSlot) -> Option<Built> {
        let age_max = i64::try_from(self.parts().config.seats_age_max_ms).unwrap_or(i64::MAX);
        let now = self.parts().clock.now();
        let is_fresh = |built: &Built| (0..age_max).contains(&now.millis_since(built.at));
        slot.map.last().filter(is_fresh)
    }
}

impl SeatMap {
    fn last(&self) -> Option<Built> {
        self.built.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Built {
    fn of(event: &Event, snapshot: &Snapshot, at: Timestamp) -> Self {
        let availability = availability(event, &snapshot.counts);
        let shown = SeatsShown {
            body: body(event, snapshot),
            etag: format!("\"{}\"", snapshot.version),
            available: availability.free,
            sold_out: availability.is_sold_out(),
        };
        Self { at, version: snapshot.version, shown: Arc::new(shown), availability }
    }
}

fn availability(event: &Event, counts: &Counts) -> Availability {
    Availability {
        free: counts.of(SeatState::Free),
        held: counts.of(SeatState::Held),
        paying: counts.of(SeatState::Paying),
        sold: counts.of(SeatState::Sold),
        price_from: event.layout.price_range().map(|(cheapest, _)| cheapest),
    }
}

/// Written by hand: ids and seat letters need no escaping, and sections keep their order.
fn body(event: &Event, snapshot: &Snapshot) -> Vec<u8> {
    let mut body = Vec::with_capacity(snapshot.places.len() + 256);
    let version = snapshot.version;
    let head =
        format!(r#"{{"version":{version},"layout_version":{},"sections":{{"#, event.layout_version);
    body.extend_from_slice(head.as_bytes());
    for (at, section) in event.layout.sections().iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(format!("\"{}\":", section.id).as_bytes());
        let range = event.layout.section_places(at);
        let places = &snapshot.places[range.start as usize..range.end as usize];
        match section.seating {
            Seating::Rows(_) => {
                body.push(b'"');
                body.extend_from_slice(places);
                body.push(b'"');
            }
            Seating::Capacity(_) => {
                let free = places.iter().filter(|p| **p == SeatState::Free.byte()).count();
                body.extend_from_slice(free.to_string().as_bytes());
            }
        }
    }
    body.extend_from_slice(b"}}");
    body
}
