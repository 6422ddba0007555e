//! Who gets the places: one owner a place, all or none, the cap, the deadline.
use super::*;
use crate::books::{Claim, ClaimState};
use crate::conformance::sample::again;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::collections::HashSet;

pub(super) async fn check(books: &Books) {
    a_booking_is_charged_once(books).await;
    a_taken_place_loses_the_whole_booking(books).await;
    a_batch_is_decided_in_order(books).await;
    a_command_twice_in_a_batch_is_charged_once(books).await;
    a_place_twice_in_a_booking_cannot_be_had(books).await;
    the_cap_counts_what_is_live(books).await;
    a_late_command_expires_only_without_an_attempt(books).await;
    claims_are_read_on_by_revision(books).await;
    a_lost_reply_leaves_one_attempt(books).await;
    one_of_many_gets_the_places(books).await;
    overlapping_crowds_never_share_a_place(books).await;
}

async fn a_booking_is_charged_once(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1", "a-2"]);
    let purchase = charge(books, &command).await;
    assert!(is_submitted(&purchase));
    assert_eq!(purchase.submitted_at, Some(NOW));
    assert_eq!(find(books, &command).await, purchase);
    assert_eq!(purchase.command, command);
    // A replay finds the attempt, also after the deadline.
    for now in [NOW, command.deadline.plus_millis(1)] {
        let begun = begin_at(books, &command, now).await;
        assert_eq!(begun, Begun::Resolve(Box::new(purchase.clone())));
    }
    let claims = books.purchase_reads.claims(&event.id, 0).await.expect("an answer").live;
    assert_eq!(claims.len(), 2);
    let paying = ClaimState::Paying(command.booking_id.clone());
    assert!(claims.iter().all(|claim| claim.state == paying));
    assert!(claims.iter().all(|claim| claim.account_id == command.account_id));
}

async fn a_taken_place_loses_the_whole_booking(books: &Books) {
    let event = SampleEvent::default();
    charge(books, &event.place(&["a-2"])).await;
    let late = event.place(&["a-1", "a-2", "a-3"]);
    assert_eq!(refused(books, &late).await, BookingStatus::SeatLost);
    assert_eq!(live(books, &event).await, ["a-2"]);
    // It stays lost, whatever becomes free.
    let outcome = ended(begin(books, &late).await);
    assert_eq!((outcome.booking.status, outcome.booking.version), (BookingStatus::SeatLost, 2));
    assert_eq!(outcome.booking.failure_code.as_deref(), Some("seat_lost"));
    charge(books, &event.place(&["a-1", "a-3"])).await;
}

async fn a_batch_is_decided_in_order(books: &Books) {
    let event = SampleEvent::default();
    let batch = [&["a-1", "a-2"][..], &["a-2", "a-3"], &["a-3"], &["b-1"]];
    let batch = batch.map(|places| event.place(places));
    let begun = books.purchases.begin(&batch, NOW).await.expect("an answer");
    let charged: Vec<bool> = begun.iter().map(|b| matches!(b, Begun::Charge(_))).collect();
    assert_eq!(charged, [true, false, true, true]);
    let ids = batch.iter().map(|command| &command.booking_id);
    assert!(ids.eq(begun.iter().map(id_of)));
    assert_eq!(live(books, &event).await, ["a-1", "a-2", "a-3", "b-1"]);
    assert_eq!(books.purchases.begin(&[], NOW).await.expect("an answer"), []);
}

fn id_of(begun: &Begun) -> &crate::BookingId {
    match begun {
        Begun::Charge(purchase) | Begun::Resolve(purchase) => &purchase.command.booking_id,
        Begun::Ended(outcome) => &outcome.booking.id,
    }
}

async fn a_command_twice_in_a_batch_is_charged_once(books: &Books) {
    let event = SampleEvent::default();
    let command = event.place(&["a-1"]);
    let begun = books.purchases.begin(&[command.clone(), command], NOW).await.expect("an answer");
    assert!(matches!(begun[..], [Begun::Charge(_), Begun::Resolve(_)]), "{begun:?}");
}

async fn a_place_twice_in_a_booking_cannot_be_had(books: &Books) {
    let event = SampleEvent::default();
    assert_eq!(refused(books, &event.place(&["a-1", "a-1"])).await, BookingStatus::SeatLost);
    assert!(live(books, &event).await.is_empty());
}

async fn the_cap_counts_what_is_live(books: &Books) {
    let event = SampleEvent::default();
    let account = event.account();
    let of = |places: &[&str]| PlaceBooking {
        seats_per_account_max: 3,
        ..event.place_by(&account, places)
    };
    let first = of(&["a-1", "a-2"]);
    charge(books, &first).await;
    assert_eq!(refused(books, &of(&["a-3", "a-4"])).await, BookingStatus::OverCap);
    charge(books, &of(&["a-3"])).await;
    assert_eq!(refused(books, &of(&["a-4"])).await, BookingStatus::OverCap);
    // Others, and the same account elsewhere, have caps of their own.
    charge(books, &event.place(&["a-4"])).await;
    let elsewhere = SampleEvent::default();
    charge(books, &elsewhere.place_by(&account, &["a-1"])).await;
    // What was declined no longer counts.
    settle(books, &first, declined_by_gateway()).await;
    charge(books, &of(&["a-1", "a-2"])).await;
    // Within one batch the cap counts as well.
    let other = event.account();
    let pair = ["b-1", "b-2"]
        .map(|place| PlaceBooking { seats_per_account_max: 1, ..event.place_by(&other, &[place]) });
    let begun = books.purchases.begin(&pair, NOW).await.expect("an answer");
    assert!(matches!(begun[..], [Begun::Charge(_), Begun::Ended(_)]), "{begun:?}");
}

async fn a_late_command_expires_only_without_an_attempt(books: &Books) {
    let event = SampleEvent::default();
    let in_time = event.place(&["a-1"]);
    assert!(matches!(begin_at(books, &in_time, in_time.deadline).await, Begun::Charge(_)));
    let late = event.place(&["a-2"]);
    let outcome = ended(begin_at(books, &late, late.deadline.plus_millis(1)).await);
    assert_eq!(outcome.booking.status, BookingStatus::Expired);
    // It is recorded: an earlier look at the clock does not bring it back.
    assert_eq!(refused(books, &late).await, BookingStatus::Expired);
    assert_eq!(find(books, &late).await.payment, PaymentState::NotAttempted);
    assert_eq!(live(books, &event).await, ["a-1"]);
    // Its places are anybody's.
    charge(books, &event.place(&["a-2"])).await;
}

async fn claims_are_read_on_by_revision(books: &Books) {
    let event = SampleEvent::default();
    let none = books.purchase_reads.claims(&event.id, 0).await.expect("an answer");
    assert_eq!((none.live.len(), none.released.len()), (0, 0));
    let [sold, gone] = [event.place(&["a-1"]), event.place(&["a-2", "a-3"])];
    charge(books, &sold).await;
    charge(books, &gone).await;
    let start = books.purchase_reads.claims(&event.id, 0).await.expect("an answer");
    assert_eq!(start.live.len(), 3);
    let same = books.purchase_reads.claims(&event.id, start.revision).await.expect("an answer");
    assert_eq!((same.live.len(), same.released.len()), (0, 0));
    assert_eq!(same.revision, start.revision);
    // One is sold, two are released, and one of those finds a new owner.
    settle(books, &sold, captured(&sold)).await;
    settle(books, &gone, declined_by_gateway()).await;
    let taker = event.place(&["a-2"]);
    charge(books, &taker).await;
    let news = books.purchase_reads.claims(&event.id, start.revision).await.expect("an answer");
    let claim = |command: &PlaceBooking, state: ClaimState| Claim {
        place: command.items[0].item.clone(),
        account_id: command.account_id.clone(),
        state,
    };
    let mut live = news.live.clone();
    live.sort_by(|a, b| a.place.cmp(&b.place));
    let sale = claim(&sold, ClaimState::Sold(sold.booking_id.clone()));
    let paying = claim(&taker, ClaimState::Paying(taker.booking_id.clone()));
    assert_eq!(live, [sale, paying]);
    assert_eq!(news.released.iter().map(text).collect::<Vec<_>>(), ["a-3"]);
    assert!(news.revision > start.revision);
}

async fn a_lost_reply_leaves_one_attempt(books: &Books) {
    let event = SampleEvent::default();
    for place in ["a-1", "a-2", "a-3", "a-4"] {
        let command = event.place(&[place]);
        // The call starts and its caller goes away before the answer.
        let _ = books.purchases.begin(std::slice::from_ref(&command), NOW).now_or_never();
        let begun = begin(books, &command).await;
        assert!(matches!(begun, Begun::Charge(_) | Begun::Resolve(_)), "{begun:?}");
        assert!(is_submitted(&find(books, &command).await));
    }
    assert_eq!(live(books, &event).await, ["a-1", "a-2", "a-3", "a-4"]);
}

async fn one_of_many_gets_the_places(books: &Books) {
    let event = SampleEvent::default();
    let commands: Vec<_> = (0..40).map(|_| event.place(&["a-1", "a-2"])).collect();
    let begun = join_all(commands.iter().map(|command| begin(books, command))).await;
    let winners = begun.iter().filter(|b| matches!(b, Begun::Charge(_))).count();
    assert_eq!(winners, 1);
    let lost = begun.into_iter().filter(|b| matches!(b, Begun::Ended(_))).map(ended);
    let lost: Vec<_> = lost.map(|outcome| outcome.booking.status).collect();
    assert_eq!(lost, [BookingStatus::SeatLost; 39]);
}

async fn overlapping_crowds_never_share_a_place(books: &Books) {
    let event = SampleEvent::default();
    let places: Vec<String> = (0..12).map(|n| format!("a-{n:02}")).collect();
    let rounds: Vec<&str> = places.iter().cycle().take(200).map(String::as_str).collect();
    let crowd = rounds.windows(3).step_by(5).map(|wanted| {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        event.place(&wanted)
    });
    let crowd: Vec<Vec<PlaceBooking>> =
        crowd.collect::<Vec<_>>().chunks(4).map(<[_]>::to_vec).collect();
    let answers = join_all(crowd.iter().map(|batch| books.purchases.begin(batch, NOW))).await;
    let mut owned = HashSet::new();
    for begun in answers.into_iter().flat_map(|answer| answer.expect("an answer")) {
        let Begun::Charge(purchase) = begun else { continue };
        for item in &purchase.command.items {
            assert!(owned.insert(text(&item.item)), "{} has two owners", item.item);
        }
    }
    let mut owned: Vec<_> = owned.into_iter().collect();
    owned.sort_unstable();
    assert!(owned.len() >= 3);
    assert_eq!(live(books, &event).await, owned);
    // Whoever was refused may try again as another attempt, and the same places stay closed.
    let late = again(&event.place(&[owned[0].as_str()]));
    assert_eq!(refused(books, &late).await, BookingStatus::SeatLost);
}
