//! Claims beside transactions of other nodes that have not ended.
use super::{Rival, answers, begin};
use crate::PgPurchases;
use crate::testing::postgres;
use ledger::BookingStatus;
use ledger::books::{Claims, PurchaseReads, Purchases, Settlement};
use ledger::conformance::sample::{NOW, SampleEvent};
use ledger::purchase::ChargeResult;

fn places(claims: &Claims) -> Vec<&str> {
    let mut places: Vec<&str> = claims.live.iter().map(|claim| claim.place.as_str()).collect();
    places.sort_unstable();
    places
}

/// A batch of which the first booking wants a place that a rival holds and the second wants a
/// place of the first: the fate of all hangs on how the rival ends.
async fn check_overlap(rival_ends: &'static str, expected: &[&str]) {
    let schema = postgres().await;
    let store = schema.store().await;
    let books = PgPurchases::new(store.clone());
    let event = SampleEvent::default();
    let mut rival = Rival::claims(&schema, &event.place(&["a-1"])).await;
    let batch = [&["a-1", "a-2"][..], &["a-2", "a-3"], &["a-3"], &["b-1"]].map(|p| event.place(p));
    let (begun, ()) = tokio::join!(books.begin(&batch, NOW), async {
        rival.awaited().await;
        rival.end(rival_ends).await;
    });
    assert_eq!(answers(&begun.unwrap()), expected, "the rival's {rival_ends}");
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test]
async fn a_booking_that_loses_takes_nothing_from_the_next_one() {
    check_overlap("COMMIT", &["seat_lost", "charge", "seat_lost", "charge"]).await;
}

#[tokio::test]
async fn a_rival_that_gives_up_was_never_there() {
    check_overlap("ROLLBACK", &["charge", "seat_lost", "charge", "charge"]).await;
}

#[tokio::test]
async fn a_claim_that_commits_late_is_listed_and_nothing_is_listed_twice() {
    let schema = postgres().await;
    let store = schema.store().await;
    let (books, event) = (PgPurchases::new(store.clone()), SampleEvent::default());
    let rival = Rival::claims(&schema, &event.place(&["a-1"])).await;
    assert_eq!(begin(&books, &[event.place(&["a-2"])]).await, ["charge"]);
    let first = books.claims(&event.id, 0).await.unwrap();
    assert_eq!(places(&first), ["a-2"]);
    // The rival is under way for as long as it likes: what was read is not listed again.
    for _ in 0..3 {
        let again = books.claims(&event.id, first.revision).await.unwrap();
        assert_eq!((places(&again), again.revision), (vec![], first.revision));
    }
    assert_eq!(begin(&books, &[event.place(&["a-3"])]).await, ["charge"]);
    let second = books.claims(&event.id, first.revision).await.unwrap();
    assert_eq!(places(&second), ["a-3"]);
    rival.end("COMMIT").await;
    let third = books.claims(&event.id, second.revision).await.unwrap();
    assert_eq!(places(&third), ["a-1"]);
    // Another handle does not know what those revisions showed: it may repeat, never miss.
    let stranger = PgPurchases::new(store.clone());
    let claims = stranger.claims(&event.id, first.revision).await.unwrap();
    assert!(places(&claims).starts_with(&["a-1"]) && places(&claims).ends_with(&["a-3"]));
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test]
async fn a_booking_begun_twice_at_once_is_charged_once() {
    let schema = postgres().await;
    let store = schema.store().await;
    let (books, event) = (PgPurchases::new(store.clone()), SampleEvent::default());
    let command = event.place(&["a-1", "a-2"]);
    let twins = [command.clone(), command];
    let begun = futures_util::future::join_all(
        (0..8).map(|n| books.begin(if n % 2 == 0 { &twins[..1] } else { &twins }, NOW)),
    );
    let begun: Vec<_> = begun.await.into_iter().flat_map(Result::unwrap).collect();
    let answers = answers(&begun);
    assert_eq!(answers.iter().filter(|word| **word == "charge").count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|word| **word == "resolve").count(), 11, "{answers:?}");
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test]
async fn an_answer_and_a_cancel_see_each_other() {
    let schema = postgres().await;
    let store = schema.store().await;
    let (books, event) = (PgPurchases::new(store.clone()), SampleEvent::default());
    let command = event.place(&["a-1"]);
    assert_eq!(begin(&books, std::slice::from_ref(&command)).await, ["charge"]);
    let (id, amount) = (&command.booking_id, command.total);
    let cancel = format!("UPDATE purchases SET cancel_requested = true WHERE id = '{id}'");
    let mut rival = Rival::does(&schema, &cancel).await;
    let result = ChargeResult::Captured { charge_id: "ch_1".into(), amount };
    let captured = [Settlement { booking_id: id.clone(), result }];
    let (settled, ()) = tokio::join!(books.settle(&captured, NOW), async {
        rival.awaited().await;
        rival.end("COMMIT").await;
    });
    assert_eq!(settled.unwrap()[0].booking.status, BookingStatus::RefundPending);
    store.close().await;
    schema.drop_schema().await;
}
