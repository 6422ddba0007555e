//! The record as the audit holds it: plain data, read through the seams while others write.
use crate::admission::Admission;
use crate::books::{
    Books, ClaimRecord, Guard, LimitsChange, LoggedCommand, QueueRecord, SeatCount,
};
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::ids::{AccountId, BookingId, EventId, QueueId};
use crate::page::{Cursor, LIMIT_MAX, Page};
use crate::purchase::Purchase;
use crate::ticket::Ticket;
use crate::transfer::TransferRecord;
use std::collections::{BTreeMap, HashSet};
use std::future::Future;

/// How long work may take before it counts as stuck (I4).
pub(super) const SETTLES_WITHIN_SECONDS: u32 = 120;

/// Everything the checks look at.
#[derive(Default)]
pub(super) struct Record {
    pub(super) purchases: BTreeMap<BookingId, Purchase>,
    /// Bookings that changed while the record was read: what was read of them does not fit
    /// together.
    pub(super) moving: HashSet<BookingId>,
    pub(super) claims: Vec<ClaimRecord>,
    pub(super) transfers: Vec<TransferRecord>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) commands: Vec<LoggedCommand>,
    pub(super) seat_counts: Vec<SeatCount>,
    pub(super) guards: Vec<Guard>,
    pub(super) queues: Vec<QueueHistory>,
}

/// One queue's past.
pub(super) struct QueueHistory {
    pub(super) id: QueueId,
    pub(super) record: QueueRecord,
    pub(super) admissions: Vec<Admission>,
    pub(super) limits: Vec<LimitsChange>,
}

impl Record {
    pub(super) fn is_moving(&self, booking: &BookingId) -> bool {
        self.moving.contains(booking)
    }

    /// Purchases of which everything that was read fits together.
    pub(super) fn resting(&self) -> impl Iterator<Item = (&BookingId, &Purchase)> {
        self.purchases.iter().filter(|(id, _)| !self.is_moving(id))
    }

    /// Accounts, by event, with a booking that changed while the record was read.
    pub(super) fn moving_accounts(&self) -> HashSet<(&EventId, &AccountId)> {
        let moving = self.moving.iter().filter_map(|id| self.purchases.get(id));
        moving.map(|p| (&p.command.event_id, &p.command.account_id)).collect()
    }
}

/// Reads the whole record. Purchases are read first and last: between two equal readings of a
/// purchase nothing of it changed, for its claims, transfers and tickets change only with it.
pub(super) async fn load(books: &Books) -> Result<Record, StoreError> {
    let reads = &books.audit;
    // The log before the purchases that its messages make.
    let commands = all(|cursor| reads.commands(cursor)).await?;
    let first = purchases(books).await?;
    let mut record = Record {
        commands,
        claims: all(|cursor| reads.claims(cursor)).await?,
        transfers: all(|cursor| reads.transfers(cursor)).await?,
        tickets: all(|cursor| reads.tickets(cursor)).await?,
        seat_counts: reads.seat_counts().await?,
        guards: reads.guards().await?,
        queues: queues(books).await?,
        ..Record::default()
    };
    record.purchases = purchases(books).await?;
    let changed = |id: &BookingId, p: &Purchase| first.get(id) != Some(p);
    let moving = record.purchases.iter().filter(|(id, p)| changed(id, p));
    record.moving = moving.map(|(id, _)| id.clone()).collect();
    Ok(record)
}

async fn purchases(books: &Books) -> Result<BTreeMap<BookingId, Purchase>, StoreError> {
    let all = all(|cursor| books.purchase_reads.purchases(cursor)).await?;
    Ok(all.into_iter().map(|p| (p.command.booking_id.clone(), p)).collect())
}

async fn queues(books: &Books) -> Result<Vec<QueueHistory>, StoreError> {
    let mut histories = Vec::new();
    for queue in books.queues.queues().await? {
        // Numbers are leased before they are admitted, so admissions are read first.
        let admissions = books.admissions.admissions(&queue.id).await?;
        let record = books.queue_progress.record(&queue.id).await?;
        let limits = books.queues.limits(&queue.id).await?;
        let Some(record) = record else { continue };
        histories.push(QueueHistory { id: queue.id, record, admissions, limits });
    }
    Ok(histories)
}

async fn all<T, F>(mut page: impl FnMut(Cursor) -> F) -> Result<Vec<T>, StoreError>
where
    F: Future<Output = Result<Page<T>, StoreError>>,
{
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let Page { items: more, next } = page(Cursor { after, limit: LIMIT_MAX }).await?;
        items.extend(more);
        if next.is_none() {
            return Ok(items);
        }
        after = next;
    }
}

/// True once `since` is so long ago that what began then should be over.
pub(super) fn overdue(since: Timestamp, now: Timestamp) -> bool {
    now > since.plus_seconds(SETTLES_WITHIN_SECONDS)
}
