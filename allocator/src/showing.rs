//! What everyone may see of an event: its seat map, and how many places are left.
use crate::recovery::EventCopy;
use crate::seat_map::Built;
use crate::{Availability, Error, SeatAllocator, SeatsShown};
use ledger::EventId;
use std::sync::Arc;

impl SeatAllocator {
    /// The seat map, at most `seats_age_max_ms` old. `None`: no such event.
    #[tracing::instrument(level = "debug", skip_all, fields(event.id = %event))]
    pub async fn seats(&self, event: &EventId) -> Result<Option<Arc<SeatsShown>>, Error> {
        let Some(copy) = self.copy_of(event).await? else { return Ok(None) };
        Ok(Some(self.built(&copy).await?.shown))
    }

    /// How many places are in which state, as old as the seat map. `None`: no such event.
    #[tracing::instrument(level = "debug", skip_all, fields(event.id = %event))]
    pub async fn availability(&self, event: &EventId) -> Result<Option<Availability>, Error> {
        let Some(copy) = self.copy_of(event).await? else { return Ok(None) };
        Ok(Some(self.built(&copy).await?.availability))
    }

    pub(crate) async fn built(&self, copy: &EventCopy) -> Result<Built, Error> {
        let parts = self.parts();
        let store = &parts.store;
        let snapshot = self.call(copy, |at| async move { store.snapshot(&at).await });
        copy.map.shown(copy.event(), &parts.clock, parts.config.seats_age_max_ms, snapshot).await
    }
}
