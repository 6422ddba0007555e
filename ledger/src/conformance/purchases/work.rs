//! What the reconciler is given: due charges and refunds, the outbox, every purchase in pages.
use super::*;
use crate::books::DueWork;
use crate::conformance::sample::cancel_of;
use crate::ids::BookingId;
use crate::page::Cursor;

pub(super) async fn check(books: &Books) {
    an_unanswered_charge_becomes_due(books).await;
    a_refund_is_due_at_once(books).await;
    the_outbox_keeps_what_is_newer(books).await;
    every_purchase_is_listed_once(books).await;
}

/// Due work of one booking; other bookings' leases move on, which harms nobody here.
async fn due_for(books: &Books, id: &BookingId, now: Timestamp) -> Option<DueWork> {
    let due = books.purchases.due(now, now.plus_seconds(15), 10_000).await.expect("an answer");
    due.into_iter().find(|work| match work {
        DueWork::Resolve(purchase) | DueWork::Refund(purchase) => {
            purchase.command.booking_id == *id
        }
    })
}

async fn an_unanswered_charge_becomes_due(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1"]);
    let id = &command.booking_id;
    charge(books, &command).await;
    assert_eq!(due_for(books, id, NOW.plus_millis(1_999)).await, None);
    let first = NOW.plus_millis(2_000);
    let purchase = find(books, &command).await;
    assert_eq!(due_for(books, id, first).await, Some(DueWork::Resolve(Box::new(purchase))));
    // It is leased until its next try, also when the gateway did not know.
    assert_eq!(due_for(books, id, first.plus_millis(14_999)).await, None);
    settle(books, &command, ChargeResult::Unknown).await;
    assert_eq!(due_for(books, id, first.plus_millis(14_999)).await, None);
    let second = first.plus_seconds(15);
    assert!(matches!(due_for(books, id, second).await, Some(DueWork::Resolve(_))));
    settle(books, &command, captured(&command)).await;
    assert_eq!(due_for(books, id, second.plus_seconds(3_600)).await, None);
}

async fn a_refund_is_due_at_once(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1"]);
    confirm(books, &command).await;
    let at = NOW.plus_seconds(100_000);
    books.purchases.cancel(&[cancel_of(&command)], at).await.expect("an answer");
    let id = &command.booking_id;
    let work = due_for(books, id, at).await.expect("due work");
    let DueWork::Refund(purchase) = work else { panic!("expected a refund: {work:?}") };
    let refund = purchase.pending_refund().expect("a pending refund");
    let refund_id = refund.refund_id.clone();
    assert_eq!(due_for(books, id, at.plus_millis(14_999)).await, None);
    let done = crate::books::Refunded { booking_id: id.clone(), refund_id };
    books.purchases.refunded(&[done], at).await.expect("an answer");
    assert_eq!(due_for(books, id, at.plus_seconds(3_600)).await, None);
}

/// The version of a booking that waits in the outbox, if any.
async fn waiting(books: &Books, id: &BookingId) -> Option<u32> {
    let waiting = books.outbox.unpublished(10_000).await.expect("an answer");
    let times: Vec<_> = waiting.iter().map(|outcome| outcome.booking.updated_at).collect();
    assert!(times.is_sorted(), "the outbox is read oldest first");
    waiting.into_iter().find(|o| o.booking.id == *id).map(|o| o.booking.version)
}

async fn the_outbox_keeps_what_is_newer(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1"]);
    let id = &command.booking_id;
    charge(books, &command).await;
    assert_eq!(waiting(books, id).await, None);
    settle(books, &command, captured(&command)).await;
    assert_eq!(waiting(books, id).await, Some(2));
    books.purchases.cancel(&[cancel_of(&command)], NOW).await.expect("an answer");
    assert_eq!(waiting(books, id).await, Some(3));
    // The acknowledgement of the older one arrives late, and twice.
    for _ in 0..2 {
        books.outbox.published(&[(id.clone(), 2)]).await.expect("an answer");
        assert_eq!(waiting(books, id).await, Some(3));
    }
    books.outbox.published(&[(id.clone(), 3), (id.clone(), 2)]).await.expect("an answer");
    assert_eq!(waiting(books, id).await, None);
    // What ended without a charge waits there as well.
    let lost = event.place(&["a-1", "a-1"]);
    refused(books, &lost).await;
    assert_eq!(waiting(books, &lost.booking_id).await, Some(2));
    books.outbox.published(&[]).await.expect("an answer");
}

async fn every_purchase_is_listed_once(books: &Books) {
    let event = SampleEvent::default();
    let commands = ["a-1", "a-2", "a-3"].map(|place| event.place(&[place]));
    books.purchases.begin(&commands, NOW).await.expect("an answer");
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page =
            books.purchase_reads.purchases(Cursor { after, limit: 2 }).await.expect("an answer");
        assert!((1..=2).contains(&page.items.len()));
        seen.extend(page.items.into_iter().map(|purchase| purchase.command.booking_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "in order, each once");
    assert!(commands.iter().all(|command| seen.contains(&command.booking_id)));
}
