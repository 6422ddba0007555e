//! The audit runs beside a live sale: what changes under its eyes is never a breach.
use super::planted_breaches::broken;
use crate::testing::sqlite_ledger;
use futures_util::future::join_all;
use ledger::PlaceBooking;
use ledger::audit::{Sources, audit};
use ledger::books::{Begun, Books, Refunded, Settlement};
use ledger::conformance::sample::NOW;
use ledger::conformance::sample::{SampleEvent, cancel_of};
use ledger::purchase::ChargeResult;
use std::sync::atomic::{AtomicBool, Ordering};

const BUYERS: usize = 8;
const AUDITS: usize = 20;

/// Buys one place, gives it back, and begins anew, until told to stop.
async fn buy_and_cancel(books: &Books, event: &SampleEvent, place: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let command = event.place(&[place]);
        let begun = books.purchases.begin(std::slice::from_ref(&command), NOW).await.unwrap();
        assert!(matches!(begun[0], Begun::Charge(_)), "the place is free again");
        give_back(books, &command).await;
    }
}

async fn give_back(books: &Books, command: &PlaceBooking) {
    let (booking_id, amount) = (command.booking_id.clone(), command.total);
    let result = ChargeResult::Captured { charge_id: "ch_1".into(), amount };
    let captured = [Settlement { booking_id: booking_id.clone(), result }];
    books.purchases.settle(&captured, NOW).await.unwrap();
    let cancelled = books.purchases.cancel(&[cancel_of(command)], NOW).await.unwrap();
    let refund_id = cancelled[0].booking.refunds[0].refund_id.clone();
    books.purchases.refunded(&[Refunded { booking_id, refund_id }], NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_sale_is_not_a_broken_one() {
    let ledger = sqlite_ledger().await;
    let (books, event, stop) = (&ledger.books, SampleEvent::default(), AtomicBool::new(false));
    let places: Vec<String> = (1..=BUYERS).map(|n| format!("stalls-A-{n}")).collect();
    let buyers = places.iter().map(|place| buy_and_cancel(books, &event, place, &stop));
    let look = async {
        let mut checked = 0;
        while checked < AUDITS {
            let sources = Sources { books, gateway: None, seats: &[] };
            let findings = audit(sources, NOW).await.unwrap();
            let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
            assert_eq!(broken(&findings), [], "{shown:#?}");
            checked += 1;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(buyers), look);
    let sources = Sources { books, gateway: None, seats: &[] };
    let findings = audit(sources, NOW).await.unwrap();
    assert!(findings[3].checked > 0, "something was sold: {}", findings[3]);
}
