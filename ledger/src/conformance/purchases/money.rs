//! What becomes of the money: settlements, cancels, refunds, and the tickets that go with them.
use super::*;
use crate::booking::RefundStatus;
use crate::books::{Refunded, Scan, TicketAction, Unscan};
use crate::conformance::sample::{PRICE, again, cancel_of, free};
use crate::ids::{AccountId, TicketId};
use crate::money::{Currency, Money};
use crate::page::Cursor;
use crate::ticket::TicketState;
use crate::transfer::TransferRecord;
use futures_util::future::join_all;

pub(super) async fn check(books: &Books) {
    a_capture_sells_the_places(books).await;
    a_decline_lets_the_hold_try_again(books).await;
    an_unknown_answer_keeps_everything(books).await;
    what_the_gateway_made_different_is_refunded(books).await;
    settlements_of_strangers_change_nothing(books).await;
    a_cancel_waits_for_the_gateway(books).await;
    a_cancelled_sale_is_refunded_once(books).await;
    a_free_booking_moves_no_money(books).await;
    a_cancel_of_what_is_over_says_so(books).await;
    a_ticket_opens_the_door_once(books).await;
    a_scan_can_be_taken_back(books).await;
    the_gate_and_a_cancel_compete(books).await;
}

async fn a_capture_sells_the_places(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1", "a-2"]);
    let booking = confirm(books, &command).await.booking;
    assert_eq!((booking.version, booking.tickets.len()), (2, 2));
    for (ticket, item) in booking.tickets.iter().zip(&command.items) {
        assert_eq!(ticket.ticket_id, TicketId::of(&command.booking_id, &item.item, 1));
        let ticket =
            books.tickets.ticket(&ticket.ticket_id).await.expect("an answer").expect("a ticket");
        assert_eq!((ticket.item, ticket.seat), (item.item.clone(), item.seat.clone()));
        assert_eq!((ticket.booking_id, ticket.event_id), (booking.id.clone(), event.id.clone()));
        assert_eq!(
            (ticket.account_id, ticket.label),
            (booking.account_id.clone(), item.label.clone())
        );
        assert_eq!((ticket.issue, ticket.state, ticket.used_at), (1, TicketState::Valid, None));
    }
    let purchase = find(books, &command).await;
    assert_eq!(purchase.payment, PaymentState::Captured);
    assert_eq!(purchase.charge_id.as_deref(), Some("ch_1"));
    // The same answer again, or another, changes nothing.
    for result in [captured(&command), declined_by_gateway(), ChargeResult::Unknown] {
        assert_eq!(settle(books, &command, result).await, []);
    }
    assert_eq!(find(books, &command).await, purchase);
    let replay = ended(begin(books, &command).await);
    assert_eq!((replay.booking, replay.slot), (booking, command.slot.clone()));
    assert_eq!(live(books, &event).await, ["a-1", "a-2"]);
}

async fn a_decline_lets_the_hold_try_again(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1"]);
    charge(books, &command).await;
    let outcomes = settle(books, &command, declined_by_gateway()).await;
    assert_eq!(outcomes[0].booking.status, BookingStatus::Declined);
    assert_eq!(outcomes[0].booking.failure_code.as_deref(), Some("card_declined"));
    assert!(live(books, &event).await.is_empty());
    let outcome = confirm(books, &again(&command)).await;
    assert_eq!(outcome.booking.attempt, 2);
    assert_eq!(find(books, &command).await.status, BookingStatus::Declined);
}

async fn an_unknown_answer_keeps_everything(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1"]);
    charge(books, &command).await;
    assert_eq!(settle(books, &command, ChargeResult::Unknown).await, []);
    let purchase = find(books, &command).await;
    assert_eq!((purchase.payment, purchase.version), (PaymentState::Unknown, 1));
    assert_eq!(live(books, &event).await, ["a-1"]);
    assert_eq!(begin(books, &command).await, Begun::Resolve(Box::new(purchase)));
    let outcomes = settle(books, &command, captured(&command)).await;
    assert_eq!(outcomes[0].booking.status, BookingStatus::Confirmed);
}

async fn what_the_gateway_made_different_is_refunded(books: &Books) {
    let usd = Currency::parse("USD").expect("a currency");
    for amount in [Money::new(1, PRICE.currency), Money::new(PRICE.minor, usd)] {
        let event = SampleEvent::default();
        let command = event.place(&["a-1"]);
        charge(books, &command).await;
        let result = ChargeResult::Captured { charge_id: "ch_1".into(), amount };
        let booking = settle(books, &command, result).await.remove(0).booking;
        assert_eq!(booking.status, BookingStatus::RefundPending);
        assert_eq!(booking.refunds[0].amount, amount);
        assert!(live(books, &event).await.is_empty() && booking.tickets.is_empty());
    }
}

async fn settlements_of_strangers_change_nothing(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1"]);
    assert_eq!(settle(books, &command, captured(&command)).await, []);
    assert_eq!(books.purchase_reads.purchase(&command.booking_id).await.expect("an answer"), None);
    assert_eq!(books.purchases.cancel(&[cancel_of(&command)], NOW).await.expect("an answer"), []);
}

async fn a_cancel_waits_for_the_gateway(books: &Books) {
    let ends = [(true, BookingStatus::RefundPending), (false, BookingStatus::Cancelled)];
    for (captures, expected) in ends {
        let event = SampleEvent::default();
        let command = event.place(&["a-1"]);
        charge(books, &command).await;
        assert_eq!(
            books.purchases.cancel(&[cancel_of(&command)], NOW).await.expect("an answer"),
            []
        );
        assert!(find(books, &command).await.cancel_requested);
        assert_eq!(live(books, &event).await, ["a-1"]);
        assert!(matches!(begin(books, &command).await, Begun::Resolve(_)));
        let result = if captures { captured(&command) } else { declined_by_gateway() };
        let outcomes = settle(books, &command, result).await;
        assert_eq!(outcomes[0].booking.status, expected);
        assert_eq!(outcomes[0].booking.refunds.len(), usize::from(captures));
        assert!(live(books, &event).await.is_empty());
    }
}

async fn a_cancelled_sale_is_refunded_once(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1", "a-2"]);
    let sold = confirm(books, &command).await.booking;
    let cancel = [cancel_of(&command), cancel_of(&command)];
    let outcomes = books.purchases.cancel(&cancel, NOW).await.expect("an answer");
    let booking = &outcomes[0].booking;
    assert_eq!((booking.status, booking.version), (BookingStatus::RefundPending, 3));
    assert_eq!(booking.refunds.len(), 1);
    let refund = booking.refunds[0].clone();
    assert_eq!((refund.amount, refund.status), (command.total, RefundStatus::Pending));
    assert!(live(books, &event).await.is_empty());
    for ticket in &sold.tickets {
        let ticket =
            books.tickets.ticket(&ticket.ticket_id).await.expect("an answer").expect("a ticket");
        assert_eq!(ticket.state, TicketState::Void);
    }
    // The places are somebody else's while the money is on its way back.
    charge(books, &event.place(&["a-1", "a-2"])).await;
    let booking_id = command.booking_id.clone();
    let done = [Refunded { booking_id, refund_id: refund.refund_id.clone() }];
    let outcomes = books.purchases.refunded(&done, NOW).await.expect("an answer");
    let booking = &outcomes[0].booking;
    assert_eq!((booking.status, booking.version), (BookingStatus::Refunded, 4));
    assert_eq!(booking.refunds[0].status, RefundStatus::Done);
    assert_eq!(books.purchases.refunded(&done, NOW).await.expect("an answer"), []);
    assert_eq!(live(books, &event).await, ["a-1", "a-2"]);
}

async fn a_free_booking_moves_no_money(books: &Books) {
    let event = SampleEvent::default();
    let command = free(&event.place(&["a-1"]));
    let answer = charge(books, &command).await.free_answer().expect("nothing to pay");
    let confirmed = settle(books, &command, answer).await.remove(0).booking;
    assert_eq!((confirmed.status, confirmed.tickets.len()), (BookingStatus::Confirmed, 1));
    let cancel = [cancel_of(&command)];
    let cancelled = books.purchases.cancel(&cancel, NOW).await.expect("an answer").remove(0);
    let booking = cancelled.booking;
    assert_eq!((booking.status, booking.refunds.len()), (BookingStatus::Cancelled, 0));
    let ticket = books.tickets.ticket(&confirmed.tickets[0].ticket_id).await.expect("an answer");
    assert_eq!(ticket.expect("the ticket").state, TicketState::Void);
    assert!(live(books, &event).await.is_empty());
    let mut cursor = Cursor::default();
    loop {
        let page = books.audit.transfers(cursor.clone()).await.expect("a page");
        let own = |one: &&TransferRecord| one.cause.starts_with(command.booking_id.as_str());
        assert_eq!(page.items.iter().find(own), None);
        let Some(next) = page.next else { return };
        cursor.after = Some(next);
    }
}

async fn a_cancel_of_what_is_over_says_so(books: &Books) {
    let event = SampleEvent::default();
    charge(books, &event.place(&["a-1"])).await;
    let lost = event.place(&["a-1"]);
    refused(books, &lost).await;
    let outcomes = books.purchases.cancel(&[cancel_of(&lost)], NOW).await.expect("an answer");
    assert_eq!(outcomes[0].booking.status, BookingStatus::SeatLost);
    assert_eq!(outcomes[0].booking.version, 2);
}

async fn a_ticket_opens_the_door_once(books: &Books) {
    let event = SampleEvent::default();
    let booking = confirm(books, &event.place(&["a-1"])).await.booking;
    let ticket_id = booking.tickets[0].ticket_id.clone();
    let scan = scan_of(ticket_id);
    let at = NOW.plus_seconds(9);
    let gates = join_all((0..8).map(|_| books.tickets.scan(&scan, at))).await;
    let results: Vec<_> =
        gates.into_iter().map(|r| r.expect("an answer").expect("a ticket")).collect();
    let opened = results.iter().filter(|result| result.state == TicketState::Valid).count();
    assert_eq!(opened, 1);
    assert!(results.iter().all(|r| r.ticket.state == TicketState::Used));
    assert!(results.iter().all(|r| r.ticket.used_at == Some(at)));
    let other_issue = Scan { issue: 2, ..scan };
    assert_eq!(books.tickets.scan(&other_issue, at).await.expect("an answer"), None);
    let unknown = scan_of(TicketId::parse("tkt_none").expect("an id"));
    assert_eq!(books.tickets.scan(&unknown, at).await.expect("an answer"), None);
    assert_eq!(books.tickets.ticket(&unknown.ticket_id).await.expect("an answer"), None);
}

fn scan_of(ticket_id: TicketId) -> Scan {
    let by = AccountId::parse("acc_gate").expect("an id");
    Scan { ticket_id, issue: 1, by, gate: Some("North".into()) }
}

async fn a_scan_can_be_taken_back(books: &Books) {
    let event = SampleEvent::default();
    let booking = confirm(books, &event.place(&["a-1"])).await.booking;
    let id = booking.tickets[0].ticket_id.clone();
    let by = AccountId::parse("acc_admin").expect("an id");
    let unscan = Unscan { ticket_id: id.clone(), by, reason: "the wrong door".into() };
    let scan = scan_of(id.clone());
    let [first, second, third] = [1, 2, 3].map(|seconds| NOW.plus_seconds(seconds));
    let unscanned = async |at| {
        let answer = books.tickets.unscan(&unscan, at).await.expect("an answer");
        answer.expect("the ticket").state
    };
    assert_eq!(unscanned(first).await, TicketState::Valid, "there is nothing to take back");
    for at in [first, third] {
        let opened = books.tickets.scan(&scan, at).await.expect("an answer");
        assert_eq!(opened.expect("the ticket").state, TicketState::Valid);
        if at == first {
            assert_eq!(unscanned(second).await, TicketState::Used);
            let ticket = books.tickets.ticket(&id).await.expect("an answer").expect("a ticket");
            assert_eq!((ticket.state, ticket.used_at), (TicketState::Valid, None));
        }
    }
    let trail = books.tickets.trail(&id).await.expect("the trail");
    let lines: Vec<_> = trail.iter().map(|line| (line.action, line.at)).collect();
    let scanned = TicketAction::Scan;
    assert_eq!(lines, [(scanned, first), (TicketAction::Unscan, second), (scanned, third)]);
    assert_eq!((&trail[0].by, &trail[0].gate), (&scan.by, &scan.gate));
    assert_eq!((&trail[1].by, trail[1].reason.as_ref()), (&unscan.by, Some(&unscan.reason)));
    let absent = Unscan { ticket_id: TicketId::parse("tkt_none").expect("an id"), ..unscan };
    assert_eq!(books.tickets.unscan(&absent, NOW).await.expect("an answer"), None);
    assert_eq!(books.tickets.trail(&absent.ticket_id).await.expect("an answer"), []);
}

async fn the_gate_and_a_cancel_compete(books: &Books) {
    let event = SampleEvent::default();
    for n in 0..12 {
        let (used, kept) = (format!("u-{n}"), format!("k-{n}"));
        let command = event.place(&[used.as_str(), kept.as_str()]);
        let booking = confirm(books, &command).await.booking;
        let scan = scan_of(booking.tickets[0].ticket_id.clone());
        let cancel = [cancel_of(&command)];
        let (scanned, cancelled) = if n % 2 == 0 {
            tokio::join!(books.tickets.scan(&scan, NOW), books.purchases.cancel(&cancel, NOW))
        } else {
            let (c, s) =
                tokio::join!(books.purchases.cancel(&cancel, NOW), books.tickets.scan(&scan, NOW));
            (s, c)
        };
        let opened = scanned.expect("an answer").expect("a ticket").state;
        let status = cancelled.expect("an answer")[0].booking.status;
        let expected = match opened {
            TicketState::Valid => BookingStatus::Confirmed,
            TicketState::Void => BookingStatus::RefundPending,
            TicketState::Used => panic!("nobody else used it"),
        };
        assert_eq!(status, expected);
    }
}
