//! The seat map that everyone sees: built at most once per age, the same bytes for everyone.
use crate::grid::{Counts, SeatState};
use crate::store::SeatSnapshot;
use crate::{Availability, Error, SeatsShown};
use ledger::{Clock, Event, Seating, Timestamp, read_lock, write_lock};
use std::sync::{Arc, RwLock};
use tokio::sync::Mutex;

/// The last map of one event that was built.
#[derive(Default)]
pub(crate) struct SeatMap {
    built: RwLock<Option<Built>>,
    building: Mutex<()>,
}

#[derive(Clone)]
pub(crate) struct Built {
    at: Timestamp,
    version: u64,
    pub(crate) shown: Arc<SeatsShown>,
    pub(crate) availability: Availability,
    /// One letter a place in layout order.
    pub(crate) letters: Arc<[u8]>,
}

impl SeatMap {
    /// The map as it was at most `age_max_ms` ago; whoever finds it older takes a snapshot for all
    /// who come meanwhile.
    pub(crate) async fn shown(
        &self,
        event: &Event,
        clock: &Clock,
        age_max_ms: u64,
        snapshot: impl Future<Output = Result<SeatSnapshot, Error>>,
    ) -> Result<Built, Error> {
        if let Some(built) = self.fresh(clock, age_max_ms) {
            return Ok(built);
        }
        let _one_builds = self.building.lock().await;
        if let Some(built) = self.fresh(clock, age_max_ms) {
            return Ok(built);
        }
        let at = clock.now();
        let snapshot = snapshot.await?;
        let last = self.last().filter(|last| last.version == snapshot.version);
        let built = match last {
            Some(last) => Built { at, ..last },
            None => Built::of(event, &snapshot, at),
        };
        *write_lock(&self.built) = Some(built.clone());
        Ok(built)
    }

    fn fresh(&self, clock: &Clock, age_max_ms: u64) -> Option<Built> {
        let age_max = i64::try_from(age_max_ms).unwrap_or(i64::MAX);
        let now = clock.now();
        self.last().filter(|built| (0..age_max).contains(&now.millis_since(built.at)))
    }

    fn last(&self) -> Option<Built> {
        read_lock(&self.built).clone()
    }
}

impl Built {
    fn of(event: &Event, snapshot: &SeatSnapshot, at: Timestamp) -> Self {
        let availability = availability(event, &snapshot.counts);
        let shown = SeatsShown {
            body: body(event, snapshot),
            etag: format!("\"{}\"", snapshot.version),
            available: availability.free,
            sold_out: availability.is_sold_out(),
        };
        let letters = snapshot.places.as_slice().into();
        Self { at, version: snapshot.version, shown: Arc::new(shown), availability, letters }
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
fn body(event: &Event, snapshot: &SeatSnapshot) -> Vec<u8> {
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
