//! The one recovery path (rule 2): raise the generation, load the copy from the record, swap it
//! in, read again what changed meanwhile.
use crate::seat_map::SeatMap;
use crate::store::{Find, Loaded, Marked, Truth};
use crate::{Error, SeatAllocator, metrics, rebuild};
use futures_util::{StreamExt, TryStreamExt, stream};
use ledger::books::{Claim, ClaimState, Claims, Raised};
use ledger::purchase::Purchase;
use ledger::{BookingId, Event, StoreError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

/// How long another node that won the right to recover is given to do so.
const WINNER_HAS: Duration = Duration::from_secs(10);
/// How long a question waits for another node's copy before it is answered 503, and how often it
/// looks.
const WAIT_FOR_WINNER: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a question waits for this node's own recovery before it is answered 503.
const WAIT_FOR_TURN: Duration = Duration::from_secs(1);
/// Purchases that are read at once.
const READS_MAX: usize = 16;
/// The generation of an event that nobody has loaded yet.
const NEVER_LOADED: u64 = 1;

/// What this node knows of one event.
pub(crate) struct EventSlot {
    event: Arc<Event>,
    /// The mark its copy should bear; 0 until it was read.
    generation: AtomicU64,
    /// Recoveries begun, so that those who waited for one that failed do not each begin another.
    recoveries: AtomicU64,
    recovering: Mutex<Option<OtherWinner>>,
    pub(crate) map: SeatMap,
}

/// Another node raised the generation to this.
struct OtherWinner {
    generation: u64,
    seen_at: Instant,
}

impl EventSlot {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        Self {
            event,
            generation: AtomicU64::new(0),
            recoveries: AtomicU64::new(0),
            recovering: Mutex::new(None),
            map: SeatMap::default(),
        }
    }

    pub(crate) fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// Recoveries of one node take turns.
    async fn turn(&self) -> Result<MutexGuard<'_, Option<OtherWinner>>, Error> {
        let turn = timeout(WAIT_FOR_TURN, self.recovering.lock()).await;
        turn.map_err(|_| Error::Recovering)
    }
}

impl SeatAllocator {
    /// The mark that the event's copy should bear.
    pub(crate) async fn generation(&self, slot: &EventSlot) -> Result<u64, Error> {
        let known = slot.generation.load(Ordering::Acquire);
        if known != 0 {
            return Ok(known);
        }
        let mut other = slot.turn().await?;
        let known = slot.generation.load(Ordering::Acquire);
        if known != 0 {
            return Ok(known);
        }
        let found = self.parts().events.seat_generation(&slot.event.id).await?;
        let missing =
            || StoreError::broken("reading the seat generation", "there is no such event");
        let found = found.ok_or_else(missing)?;
        if found != NEVER_LOADED && self.parts().store.is_shared() {
            // Whoever raised it may be loading the copy at this moment; raising it again would take
            // that away, and the holds that were made in it.
            *other = Some(OtherWinner { generation: found, seen_at: Instant::now() });
        }
        slot.generation.store(found, Ordering::Release);
        Ok(found)
    }

    /// Recovers a copy that no longer bears the mark `lost`; all who find it lost share one
    /// recovery.
    pub(crate) async fn recover(&self, slot: &EventSlot, lost: u64) -> Result<(), Error> {
        let begun = slot.recoveries.load(Ordering::Acquire);
        let mut other = slot.turn().await?;
        if slot.generation.load(Ordering::Acquire) != lost {
            return Ok(());
        }
        if slot.recoveries.load(Ordering::Acquire) != begun {
            return Err(Error::Recovering);
        }
        let has_time =
            |other: &OtherWinner| other.generation == lost && other.seen_at.elapsed() < WINNER_HAS;
        if other.as_ref().is_some_and(has_time) {
            return self.await_copy(slot, lost).await;
        }
        slot.recoveries.fetch_add(1, Ordering::AcqRel);
        let event = &slot.event;
        let mark = match self.parts().events.raise_seat_generation(&event.id, lost).await? {
            Raised::Won(mark) => {
                let loaded = self.load(slot, mark).await;
                metrics::recovered(loaded.is_ok());
                loaded?;
                tracing::info!(event.id = %event.id, generation = mark, "seats recovered");
                mark
            }
            Raised::Lost(mark) => {
                *other = Some(OtherWinner { generation: mark, seen_at: Instant::now() });
                slot.generation.store(mark, Ordering::Release);
                return self.await_copy(slot, mark).await;
            }
        };
        slot.generation.store(mark, Ordering::Release);
        Ok(())
    }

    /// Waits a little for the copy that another node is loading.
    async fn await_copy(&self, slot: &EventSlot, mark: u64) -> Result<(), Error> {
        let at = self.at(slot, mark);
        let nobody = Find::Hold(self.parts().ids.hold(&slot.event.id, at.now));
        let begun = Instant::now();
        while begun.elapsed() < WAIT_FOR_WINNER {
            match self.parts().store.find(&at, &nobody).await? {
                Marked::Here(_) => return Ok(()),
                Marked::Lost => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
        Err(Error::Recovering)
    }

    async fn load(&self, slot: &EventSlot, mark: u64) -> Result<(), Error> {
        let event = &slot.event;
        let parts = self.parts();
        let claims = parts.purchases.claims(&event.id, 0).await?;
        let kept = parts.store.kept(event, mark).await?;
        let purchases = self.purchases(rebuild::paying(&claims.live, &kept)).await?;
        let at = self.at(slot, mark);
        let copy = rebuild::rebuild(event, &claims.live, &purchases, kept, at.limits, at.now);
        match parts.store.load(&at, copy).await? {
            Loaded::Kept => return Ok(()),
            Loaded::Swapped => {}
        }
        let changed = parts.purchases.claims(&event.id, claims.revision).await?;
        let sold_before = sales(&claims.live);
        let released = |place: &str| sold_before.get(place).cloned();
        let places = self.truth(slot, &changed, |_| true, released).await?;
        if !places.is_empty() {
            // The next question finds the loss, should the copy be gone again.
            let (Marked::Here(()) | Marked::Lost) = parts.store.reload(&at, &places).await?;
        }
        Ok(())
    }

    /// Those of `bookings` that the record has.
    async fn purchases(
        &self,
        bookings: HashSet<BookingId>,
    ) -> Result<HashMap<BookingId, Purchase>, Error> {
        let read = |booking: BookingId| async {
            let purchase = self.parts().purchases.purchase(&booking).await?;
            Ok::<_, StoreError>(purchase.map(|purchase| (booking, purchase)))
        };
        let reads = stream::iter(bookings).map(read).buffer_unordered(READS_MAX);
        Ok(reads.try_filter_map(|found| async { Ok(found) }).try_collect().await?)
    }

    /// What `claims` say of the places that `wanted` picks by index; `released` names the booking
    /// whose claim on a place is no more.
    pub(crate) async fn truth(
        &self,
        slot: &EventSlot,
        claims: &Claims,
        wanted: impl Fn(u32) -> bool,
        released: impl Fn(&str) -> Option<BookingId>,
    ) -> Result<Vec<(u32, Truth)>, Error> {
        let layout = &slot.event.layout;
        let paying = claims.live.iter().filter_map(|claim| match &claim.state {
            ClaimState::Paying(booking) => {
                let place = layout.find(claim.place.as_str())?;
                wanted(place).then(|| booking.clone())
            }
            ClaimState::Sold(_) => None,
        });
        let purchases = self.purchases(paying.collect()).await?;
        let mut places = Vec::new();
        for claim in &claims.live {
            let Some(place) = layout.find(claim.place.as_str()).filter(|at| wanted(*at)) else {
                continue;
            };
            match &claim.state {
                ClaimState::Sold(booking) => {
                    places.push((place, Truth::Sold(booking.clone(), claim.account_id.clone())));
                }
                ClaimState::Paying(booking) => {
                    if let Some(purchase) = purchases.get(booking) {
                        places.push((place, Truth::Paying(Box::new(purchase.command.clone()))));
                    }
                }
            }
        }
        for id in &claims.released {
            if let Some(place) = layout.find(id.as_str()).filter(|at| wanted(*at))
                && let Some(booking) = released(id.as_str())
            {
                places.push((place, Truth::Unclaimed(booking)));
            }
        }
        Ok(places)
    }
}

/// Who had bought which place.
fn sales(claims: &[Claim]) -> HashMap<String, BookingId> {
    let sale = |claim: &Claim| match &claim.state {
        ClaimState::Sold(booking) => Some((claim.place.as_str().to_owned(), booking.clone())),
        ClaimState::Paying(_) => None,
    };
    claims.iter().filter_map(sale).collect()
}
