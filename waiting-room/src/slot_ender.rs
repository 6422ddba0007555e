//! The slot ender: a confirmed booking ends the slot it was made under, and only that one.
use crate::{Error, WaitingRoom};
use futures_util::StreamExt;
use ledger::{BookingLog, BookingStatus, Delivery, Group, Message, SlotRef, Subscription};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The most outcomes taken at once.
const BATCH_MAX: usize = 256;
/// Slots that are being ended at once: the books write those that come together together.
const ENDING_MAX: usize = 64;
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Ends slots as the outcomes on the booking log tell.
pub struct SlotEnder {
    room: WaitingRoom,
    log: Arc<dyn BookingLog>,
}

impl SlotEnder {
    pub fn new(room: WaitingRoom, log: Arc<dyn BookingLog>) -> Self {
        Self { room, log }
    }

    /// Runs until told to stop; outcomes that had their effect are committed first.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let stopped = match self.log.subscribe(Group::SlotEnder).await {
                Ok(mut outcomes) => self.follow(outcomes.as_mut(), &shutdown).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = stopped {
                tracing::warn!(%error, "slots cannot be ended for now");
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }

    async fn follow(
        &self,
        outcomes: &mut dyn Subscription,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        loop {
            let batch = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                batch = outcomes.next(BATCH_MAX) => batch?,
            };
            self.end(&batch).await?;
            outcomes.commit().await?;
        }
    }

    /// Returns once every slot was tried; an error when one of them is not ended.
    async fn end(&self, batch: &[Delivery]) -> Result<(), Error> {
        let slots: HashSet<SlotRef> = batch.iter().filter_map(confirmed_slot).cloned().collect();
        let ending = slots.into_iter().map(|slot| {
            let room = self.room.clone();
            async move { room.end(&slot).await }
        });
        let ended: Vec<_> =
            futures_util::stream::iter(ending).buffer_unordered(ENDING_MAX).collect().await;
        ended.into_iter().collect()
    }
}

/// The slot that a confirmed booking was made under.
fn confirmed_slot(delivery: &Delivery) -> Option<&SlotRef> {
    match &delivery.message {
        Message::Outcome(outcome) if outcome.booking.status == BookingStatus::Confirmed => {
            outcome.slot.as_ref()
        }
        Message::Outcome(_) | Message::Command(_) => None,
    }
}
