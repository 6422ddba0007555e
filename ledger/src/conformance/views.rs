//! The contract of [`Views`]: newer versions only, an account's bookings newest first, tickets.
use super::sample::{NOW, SampleEvent};
use crate::booking::{Booking, BookingStatus, BookingTicket, PlaceBooking};
use crate::ids::{AccountId, BookingId, TicketId};
use crate::page::Cursor;
use crate::views::Views;
use futures_util::future::join_all;
use std::sync::Arc;

/// Runs the whole contract.
pub async fn check_all(views: Arc<dyn Views>) {
    let views = views.as_ref();
    a_booking_comes_back_whole(views).await;
    a_newer_version_wins_in_any_order(views).await;
    what_is_rewritten_counts_again(views).await;
    an_account_sees_its_own_newest_first(views).await;
    a_mark_from_nowhere_ends_the_list(views).await;
}

fn confirmed(command: &PlaceBooking, version: u32) -> Booking {
    let tickets = command.items.iter().map(|item| BookingTicket {
        ticket_id: TicketId::of(&command.booking_id, &item.item, 1),
        item: item.item.clone(),
    });
    Booking {
        status: BookingStatus::Confirmed,
        tickets: tickets.collect(),
        version,
        ..Booking::placed(command)
    }
}

async fn find(views: &dyn Views, id: &BookingId) -> Option<Booking> {
    views.booking(id).await.expect("an answer")
}

async fn a_booking_comes_back_whole(views: &dyn Views) {
    let command = SampleEvent::default().place(&["a-1", "a-2"]);
    assert_eq!(find(views, &command.booking_id).await, None);
    let booking = confirmed(&command, 2);
    views.put(&[]).await.expect("put");
    views.put(std::slice::from_ref(&booking)).await.expect("put");
    assert_eq!(find(views, &booking.id).await, Some(booking.clone()));
    for ticket in &booking.tickets {
        let found = views.booking_of_ticket(&ticket.ticket_id).await.expect("an answer");
        assert_eq!(found, Some(booking.clone()));
    }
    let unknown = TicketId::of(&command.booking_id, &command.items[0].item, 9);
    assert_eq!(views.booking_of_ticket(&unknown).await.expect("an answer"), None);
}

async fn a_newer_version_wins_in_any_order(views: &dyn Views) {
    let event = SampleEvent::default();
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1], [3, 1, 2]] {
        for together in [true, false] {
            let command = event.place(&["a-1"]);
            let versions = order.map(|version| confirmed(&command, version));
            if together {
                views.put(&versions).await.expect("put");
            } else {
                let puts = versions.iter().map(|v| views.put(std::slice::from_ref(v)));
                join_all(puts).await.into_iter().for_each(|put| put.expect("put"));
            }
            let found = find(views, &command.booking_id).await.expect("a booking");
            assert_eq!(found.version, 3, "{order:?} together: {together}");
        }
    }
    // The same version again is no newer.
    let command = event.place(&["a-1"]);
    views.put(&[confirmed(&command, 2)]).await.expect("put");
    let other = Booking { status: BookingStatus::Declined, ..confirmed(&command, 2) };
    views.put(&[other]).await.expect("put");
    let found = find(views, &command.booking_id).await.expect("a booking");
    assert_eq!(found.status, BookingStatus::Confirmed);
}

async fn what_is_rewritten_counts_again(views: &dyn Views) {
    let command = SampleEvent::default().place(&["a-1"]);
    let good = confirmed(&command, 2);
    let damaged = Booking { status: BookingStatus::Declined, ..good.clone() };
    views.rewrite(&[]).await.expect("rewritten");
    views.put(std::slice::from_ref(&damaged)).await.expect("put");
    for again in [&good, &damaged, &good] {
        views.rewrite(std::slice::from_ref(again)).await.expect("rewritten");
        assert_eq!(find(views, &good.id).await.as_ref(), Some(again));
    }
    views.put(std::slice::from_ref(&damaged)).await.expect("put");
    views.rewrite(&[confirmed(&command, 1)]).await.expect("rewritten");
    assert_eq!(find(views, &good.id).await, Some(good.clone()), "neither is newer");
    views.put(&[confirmed(&command, 3)]).await.expect("put");
    assert_eq!(find(views, &good.id).await.map(|found| found.version), Some(3));
}

async fn an_account_sees_its_own_newest_first(views: &dyn Views) {
    let event = SampleEvent::default();
    let account = event.account();
    // Several in the same millisecond: their order is by id, and none is lost between pages.
    let mut own: Vec<Booking> = [5, 1, 3, 3, 3, 4, 2]
        .into_iter()
        .map(|second| {
            let command = event.place_by(&account, &["a-1"]);
            Booking::placed(&PlaceBooking { placed_at: NOW.plus_seconds(second), ..command })
        })
        .collect();
    views.put(&own).await.expect("put");
    views.put(&[Booking::placed(&event.place(&["a-1"]))]).await.expect("put");
    own.sort_by(|a, b| (b.placed_at, &b.id).cmp(&(a.placed_at, &a.id)));
    for limit in [1, 2, 3, 7, 50] {
        assert_eq!(list(views, &account, limit).await, own, "pages of {limit}");
    }
    let nobody = event.account();
    assert!(list(views, &nobody, 50).await.is_empty());
}

async fn list(views: &dyn Views, account: &AccountId, limit: u32) -> Vec<Booking> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = views.bookings_of(account, Cursor { after, limit }).await.expect("a page");
        assert!(page.items.len() <= limit as usize);
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn a_mark_from_nowhere_ends_the_list(views: &dyn Views) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1"]);
    views.put(&[Booking::placed(&command)]).await.expect("put");
    for mark in ["", "~", "x~y", "'; DROP TABLE", "99999999999999999999~a"] {
        let cursor = Cursor { after: Some(mark.into()), limit: 10 };
        let page = views.bookings_of(&command.account_id, cursor).await.expect("a page");
        assert!(page.items.is_empty() && page.next.is_none(), "{mark}");
    }
}
