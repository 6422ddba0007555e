//! The slot ender: a confirmed booking ends the slot it was made under, and only that one.
use crate::WaitingRoom;
use futures_util::StreamExt;
use ledger::{
    BatchError, BatchHandler, BookingLog, BookingStatus, Consumer, ConsumerConfig, Delivery, Group,
    Message, SlotRef,
};
use std::collections::HashSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Slots that are being ended at once: the books write those that come together together.
const ENDING_MAX: usize = 64;

/// Ends slots as the outcomes on the booking log tell.
pub struct SlotEnder {
    room: WaitingRoom,
    consumer: Consumer,
}

impl SlotEnder {
    pub fn new(room: WaitingRoom, log: Arc<dyn BookingLog>, config: ConsumerConfig) -> Self {
        Self { room, consumer: Consumer::new(log, Group::SlotEnder, config) }
    }

    /// Runs until `shutdown`; the batch in hand is finished first.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { room, consumer } = self;
        consumer.run(Ending { room }, shutdown).await;
    }
}

struct Ending {
    room: WaitingRoom,
}

impl BatchHandler for Ending {
    /// Every slot is tried: one that cannot be ended now does not hold up the others.
    async fn handle(&self, batch: &[Delivery]) -> Result<(), BatchError> {
        let slots: HashSet<SlotRef> = batch.iter().filter_map(confirmed_slot).cloned().collect();
        let ending = slots.into_iter().map(|slot| {
            let room = self.room.clone();
            async move { room.end(&slot).await }
        });
        let ended: Vec<_> =
            futures_util::stream::iter(ending).buffer_unordered(ENDING_MAX).collect().await;
        BatchError::of_all(ended)
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
