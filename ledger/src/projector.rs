//! The projector: carries what both topics say into the views, and tells who waits for it.
mod changes;

pub use changes::{BookingChanges, BookingWatch};

use crate::booking::{Booking, BookingCommand};
use crate::books::PurchaseReads;
use crate::consumer::{BatchError, BatchHandler, Consumer, ConsumerConfig};
use crate::error::StoreError;
use crate::log::{BookingLog, Delivery, Group, Message};
use crate::metrics;
use crate::page::{Cursor, LIMIT_MAX};
use crate::views::Views;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Reads the booking log and keeps the views up to date. Never the truth: see [`rebuild`].
pub struct Projector {
    consumer: Consumer,
    views: Arc<dyn Views>,
    changes: BookingChanges,
}

impl Projector {
    pub fn new(log: Arc<dyn BookingLog>, views: Arc<dyn Views>, config: ConsumerConfig) -> Self {
        let consumer = Consumer::new(log, Group::Projector, config);
        Self { consumer, views, changes: BookingChanges::default() }
    }

    /// Where the requests of this node hear that a booking changed.
    pub fn changes(&self) -> BookingChanges {
        self.changes.clone()
    }

    /// Runs until `shutdown`; the batch in hand is finished first.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { consumer, views, changes } = self;
        consumer.run(Projection { views, changes }, shutdown).await;
    }
}

/// Puts what a batch shows into the views, and wakes who waits for it.
struct Projection {
    views: Arc<dyn Views>,
    changes: BookingChanges,
}

impl BatchHandler for Projection {
    async fn handle(&self, batch: &[Delivery]) -> Result<(), BatchError> {
        let bookings: Vec<Booking> = batch.iter().filter_map(view_of).collect();
        if !bookings.is_empty() {
            self.views.put(&bookings).await?;
            self.changes.tell(bookings.iter().map(|booking| &booking.id));
        }
        metrics::projected(batch.len() as u64);
        Ok(())
    }
}

/// What a message shows of a booking. A cancel shows nothing until its outcome comes.
fn view_of(delivery: &Delivery) -> Option<Booking> {
    match &delivery.message {
        Message::Command(BookingCommand::Place(command)) => Some(Booking::placed(command)),
        Message::Command(BookingCommand::Cancel(_)) => None,
        Message::Outcome(outcome) => Some(outcome.booking.clone()),
    }
}

/// Puts every booking of the books into the views, beside a running projector or without one;
/// returns how many.
pub async fn rebuild(purchases: &dyn PurchaseReads, views: &dyn Views) -> Result<u64, StoreError> {
    let mut done: u64 = 0;
    let mut after = None;
    loop {
        let page = purchases.purchases(Cursor { after, limit: LIMIT_MAX }).await?;
        let bookings: Vec<Booking> = page.items.iter().map(|purchase| purchase.booking()).collect();
        views.rewrite(&bookings).await?;
        done = done.saturating_add(bookings.len() as u64);
        after = page.next;
        if after.is_none() {
            return Ok(done);
        }
    }
}
