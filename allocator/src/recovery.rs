//! Recovery of an event's copy: loaded from the record, swapped in, and what changed meanwhile
//! read again.
use crate::seat_map::SeatMap;
use crate::store::{Find, LoadOutcome, Truth};
use crate::{Error, SeatAllocator, metrics, rebuild};
use futures_util::{StreamExt, TryStreamExt, stream};
use ledger::books::{Claim, ClaimState, Claims, Raised};
use ledger::purchase::Purchase;
use ledger::{BookingId, CopySource, Event, Fenced, FencedCopy, RecoveryBounds, StoreError};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Purchases that are read at once.
const READS_MAX: usize = 16;
/// The generation of an event that nobody has loaded yet.
const NEVER_LOADED: u64 = 1;

/// What this node knows of one event.
pub(crate) struct EventCopy {
    event: Arc<Event>,
    pub(crate) fenced: FencedCopy,
    pub(crate) map: SeatMap,
}

impl EventCopy {
    pub(crate) fn new(event: Arc<Event>, bounds: RecoveryBounds) -> Self {
        Self { event, fenced: FencedCopy::new(bounds), map: SeatMap::default() }
    }

    pub(crate) fn event(&self) -> &Arc<Event> {
        &self.event
    }
}

/// An event's copy, as the allocator finds and makes it.
pub(crate) struct SeatSource<'a> {
    pub(crate) seats: &'a SeatAllocator,
    pub(crate) copy: &'a EventCopy,
}

impl CopySource for SeatSource<'_> {
    type Error = Error;

    async fn generation(&self) -> Result<u64, Error> {
        let found = self.seats.parts().generations.seat_generation(&self.copy.event.id).await?;
        let missing =
            || StoreError::broken("reading the seat generation", "there is no such event");
        Ok(found.ok_or_else(missing)?)
    }

    async fn raise(&self, from: u64) -> Result<Raised, Error> {
        let raising =
            self.seats.parts().generations.raise_seat_generation(&self.copy.event.id, from);
        Ok(raising.await?)
    }

    async fn probe(&self, generation: u64) -> Result<bool, Error> {
        let at = self.seats.at(self.copy, generation);
        let nobody = Find::Hold(self.seats.parts().ids.hold(&self.copy.event.id, at.now));
        Ok(matches!(self.seats.parts().store.find(&at, &nobody).await?, Fenced::Is(_)))
    }

    async fn rebuild(&self, generation: u64) -> Result<(), Error> {
        let loaded = self.seats.load(self.copy, generation).await;
        metrics::recovered(loaded.is_ok());
        if loaded.is_err() {
            // It may have been swapped in without what changed meanwhile: nobody must take it.
            let lost = self.seats.parts().store.surviving_holds(&self.copy.event, generation + 1);
            lost.await?;
        }
        loaded?;
        tracing::info!(event.id = %self.copy.event.id, generation, "seats recovered");
        Ok(())
    }

    /// A copy taken away while it is loaded takes the holds with it that were made in it.
    fn is_rebuilt_elsewhere(&self, generation: u64) -> bool {
        generation != NEVER_LOADED && self.seats.parts().store.is_shared()
    }
}

impl SeatAllocator {
    /// Recovers a copy that no longer bears the generation `lost`.
    #[cfg(test)]
    pub(crate) async fn recover(&self, copy: &EventCopy, lost: u64) -> Result<(), Error> {
        copy.fenced.recover(&SeatSource { seats: self, copy }, lost).await
    }

    async fn load(&self, copy: &EventCopy, generation: u64) -> Result<(), Error> {
        let event = &copy.event;
        let parts = self.parts();
        let claims = parts.purchases.claims(&event.id, 0).await?;
        let kept = parts.store.surviving_holds(event, generation).await?;
        let purchases = self.purchases(rebuild::paying(&claims.live, &kept)).await?;
        let at = self.at(copy, generation);
        let rebuilt = rebuild::rebuild(event, &claims.live, &purchases, kept, at.limits, at.now);
        match parts.store.load(&at, rebuilt).await? {
            LoadOutcome::NotNewer => return Ok(()),
            LoadOutcome::Swapped => {}
        }
        let changed = parts.purchases.claims(&event.id, claims.revision).await?;
        let sold_before = sales(&claims.live);
        let released = |place: &str| sold_before.get(place).cloned();
        let places = self.truth(copy, &changed, |_| true, released).await?;
        if !places.is_empty() {
            // The next question finds the loss, should the copy be gone again.
            let (Fenced::Is(()) | Fenced::Lost) = parts.store.reload(&at, &places).await?;
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
        copy: &EventCopy,
        claims: &Claims,
        wanted: impl Fn(u32) -> bool,
        released: impl Fn(&str) -> Option<BookingId>,
    ) -> Result<Vec<(u32, Truth)>, Error> {
        let layout = &copy.event.layout;
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
