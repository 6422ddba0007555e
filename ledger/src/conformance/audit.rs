//! The contract of [`AuditReads`](crate::books::AuditReads): every row once, page by page, and the
//! guards of what is append-only.
use super::purchases::{check_all as sell_and_cancel, live};
use super::sample::{NOW, SampleEvent, cancel_of};
use crate::books::{Books, ClaimRecord, Refunded, SeatCount};
use crate::error::StoreError;
use crate::ids::TicketId;
use crate::page::{Cursor, Page};
use crate::transfer::{Transfer, TransferKind};
use std::collections::HashSet;

/// Runs the whole contract; the books hold the purchases' contract besides.
pub async fn check_all(books: &Books) {
    sell_and_cancel(books).await;
    every_row_is_there_once(books).await;
    seats_are_counted_as_claimed(books).await;
    every_guard_stands(books).await;
}

/// Reads a list to its end, three at a time.
async fn whole<T>(read: impl AsyncFn(Cursor) -> Result<Page<T>, StoreError>) -> Vec<T> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = read(Cursor { after, limit: 3 }).await.expect("a page");
        assert!(page.items.len() <= 3);
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn every_row_is_there_once(books: &Books) {
    let event = SampleEvent::default();
    let [kept, undone] = [["a-1", "a-2"], ["b-1", "b-2"]].map(|places| event.place(&places));
    super::purchases::confirm(books, &kept).await;
    super::purchases::confirm(books, &undone).await;
    let purchases = &books.purchases;
    let cancelled = purchases.cancel(&[cancel_of(&undone)], NOW).await.expect("an answer");
    let refund = cancelled[0].booking.refunds[0].refund_id.clone();
    let done = Refunded { booking_id: undone.booking_id.clone(), refund_id: refund.clone() };
    purchases.refunded(&[done], NOW).await.expect("an answer");

    let claims = whole(async |cursor| books.audit.claims(cursor).await).await;
    let mut own: Vec<&ClaimRecord> =
        claims.iter().filter(|claim| claim.event_id == event.id).collect();
    own.sort_by_key(|claim| claim.place.as_str());
    let seen = own.iter().map(|claim| (claim.place.as_str(), claim.released_at.is_some()));
    assert!(seen.eq([("a-1", false), ("a-2", false), ("b-1", true), ("b-2", true)]));
    assert!(own.iter().all(|claim| claim.sold || claim.released_at.is_some()));

    let transfers = whole(async |cursor| books.audit.transfers(cursor).await).await;
    let causes: HashSet<_> = transfers.iter().map(|one| (one.kind, one.cause.clone())).collect();
    assert_eq!(causes.len(), transfers.len(), "a transfer came twice");
    for expected in [
        (TransferKind::Capture, kept.booking_id.to_string()),
        (TransferKind::Capture, undone.booking_id.to_string()),
        (TransferKind::Refund, refund.to_string()),
    ] {
        assert!(causes.contains(&expected), "{expected:?}");
    }
    for record in transfers {
        assert!(Transfer::try_from(record.clone()).is_ok(), "{record:?}");
    }

    let tickets = whole(async |cursor| books.audit.tickets(cursor).await).await;
    let ids: HashSet<TicketId> = tickets.iter().map(|one| one.id.clone()).collect();
    assert_eq!(ids.len(), tickets.len(), "a ticket came twice");
    assert_eq!(tickets.iter().filter(|ticket| ticket.event_id == event.id).count(), 4);
    // Where the log is kept elsewhere there are none; where it is not, each is readable.
    whole(async |cursor| books.audit.commands(cursor).await).await;
}

async fn seats_are_counted_as_claimed(books: &Books) {
    let event = SampleEvent::default();
    let sold = event.place(&["a-1", "a-2"]);
    super::purchases::confirm(books, &sold).await;
    let counts = books.audit.seat_counts().await.expect("an answer");
    let own: Vec<SeatCount> = counts.into_iter().filter(|one| one.event_id == event.id).collect();
    let seats = live(books, &event).await.len() as u64;
    assert_eq!(own, [SeatCount { event_id: event.id, account_id: sold.account_id, seats }]);
}

async fn every_guard_stands(books: &Books) {
    let guards = books.audit.guards().await.expect("an answer");
    assert!(!guards.is_empty());
    assert!(guards.iter().all(|guard| guard.stands), "{guards:?}");
}
