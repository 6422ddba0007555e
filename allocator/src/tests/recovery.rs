//! Kill and start again: what the record and the journal say together is what is there.
use super::venue;
use crate::conformance::venue::{LogState, Venue};
use crate::{BookAnswer, HoldSweeper, LockAnswer};
use ledger::books::Begun;
use ledger::{BookingId, JournalEntry, PlaceBooking};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

async fn generation(venue: &Venue) -> u64 {
    venue.ledger.books.seat_generations.seat_generation(&venue.event.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn every_state_survives_a_restart() {
    let mut venue = venue().await;
    let ann = venue.account();
    let held = venue.held(&ann, &[0]).await;
    // Being paid: known to the log only.
    let queued = venue.held(&venue.account(), &[1]).await;
    let on_log = venue.booked(&queued).await;
    // Being paid: claimed.
    let claiming = venue.held(&venue.account(), &[2]).await;
    venue.booked(&claiming).await;
    let claimed = venue.claim().await;
    // Declined and sold in the record, which nobody told the seats of.
    let declined = venue.held(&venue.account(), &[3]).await;
    venue.booked(&declined).await;
    venue.decide(false).await;
    let sold = venue.held(&venue.account(), &[4, 5]).await;
    venue.booked(&sold).await;
    venue.decide(true).await;
    let released = venue.held(&ann, &[6]).await;
    venue.seats.release(&released.id, &ann).await.unwrap();
    assert_eq!(venue.drawn(7).await, "hpppppp"[..3].to_owned() + "ppp.");

    venue.restart();
    assert_eq!(venue.drawn(7).await, "hpphss.");
    assert_eq!(venue.seats.hold(&held.id).await.unwrap(), Some(held));
    assert_eq!(venue.booked(&queued).await.id, on_log.id);
    assert_eq!(venue.booked(&claiming).await.id, claimed.booking_id);
    assert_eq!(venue.booked(&declined).await.attempt, 2);

    // What nobody wanted in time is gone after the next start, and the rest is not.
    venue.wait_seconds(300);
    venue.restart();
    assert_eq!(venue.drawn(7).await, ".pppss.");
    venue.restart();
    assert_eq!(venue.drawn(7).await, ".pppss.", "recovering twice changes nothing");
}

#[tokio::test]
async fn a_claim_in_the_record_wins_over_a_journalled_hold() {
    let mut venue = venue().await;
    let (ann, bob) = (venue.account(), venue.account());
    let hold = venue.held(&ann, &[0, 1]).await;
    let other = venue.held(&bob, &[5]).await;
    venue.booked(&other).await;
    let mut stolen: PlaceBooking = venue.commands().pop().unwrap();
    // Bob's booking has one of Ann's seats, as after a double grant.
    stolen.items = vec![hold.items[1].clone()];
    stolen.hold_id = venue.ids.hold(&venue.event.id, venue.clock.now());
    stolen.booking_id = BookingId::of_attempt(&stolen.hold_id, 1);
    let begun =
        venue.ledger.books.purchases.begin(std::slice::from_ref(&stolen), venue.clock.now());
    assert!(matches!(begun.await.unwrap()[0], Begun::Charge(_)));
    venue.restart();
    assert_eq!(venue.drawn(6).await, ".p...p", "a hold comes back whole or not at all");
    assert_eq!(venue.book(&hold, None).await.unwrap(), BookAnswer::NotFound);
    assert!(matches!(venue.lock(&bob, &[1]).await, LockAnswer::Held(_)), "his own places");
    assert_eq!(venue.lock(&ann, &[1]).await, LockAnswer::Taken);
}

#[tokio::test]
async fn a_newer_hold_wins_over_one_whose_release_was_never_journalled() {
    let mut venue = venue().await;
    let (ann, bob) = (venue.account(), venue.account());
    let stale = venue.held(&ann, &[0, 1]).await;
    let row = venue.ledger.journal.read(&venue.event.id).await.unwrap().pop();
    assert!(row.is_some());
    venue.seats.release(&stale.id, &ann).await.unwrap();
    let entry = JournalEntry { event: venue.event.id.clone(), hold: stale.id.clone(), row };
    venue.ledger.journal.append(vec![entry]).await.unwrap();
    let newer = venue.held(&bob, &[1, 2]).await;
    assert_eq!(venue.ledger.journal.read(&venue.event.id).await.unwrap().len(), 2);
    for _ in 0..2 {
        venue.restart();
        assert_eq!(venue.drawn(4).await, ".hh.");
        assert_eq!(venue.seats.hold(&newer.id).await.unwrap(), Some(newer.clone()));
        assert_eq!(venue.seats.hold(&stale.id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_key_of_book_survives_a_restart() {
    let mut venue = venue().await;
    let ann = venue.account();
    let (hold, other) = (venue.held(&ann, &[0]).await, venue.held(&ann, &[1]).await);
    let BookAnswer::Accepted(booking) = venue.book(&hold, Some("key")).await.unwrap() else {
        panic!("the hold can be booked");
    };
    venue.restart();
    // The same body cannot name another hold; it can name a place that is in another one by now.
    for hold in [&hold, &other] {
        let again = venue.book(hold, Some("key")).await.unwrap();
        assert_eq!(again, BookAnswer::Accepted(booking.clone()));
    }
    assert_eq!(venue.seats.hold(&other.id).await.unwrap(), Some(other));
}

#[tokio::test]
async fn a_command_that_no_log_has_is_sent_by_the_next_process() {
    let mut venue = venue().await;
    let hold = venue.held(&venue.account(), &[0]).await;
    venue.log.is(LogState::LosesMessages);
    venue.book(&hold, None).await.unwrap_err();
    venue.log.is(LogState::Up);
    venue.restart();
    venue.wait_seconds(60);
    // Nobody asks about the event: the sweeper itself finds what was left behind.
    let shutdown = CancellationToken::new();
    let sweeper = HoldSweeper::new(venue.seats.clone());
    let running = sweeper.run(shutdown.clone());
    let seen = async {
        while venue.commands().is_empty() {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
    };
    tokio::join!(running, seen);
    let commands = venue.commands();
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].hold_id, hold.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_touches_share_one_recovery() {
    let mut venue = venue().await;
    venue.held(&venue.account(), &[0]).await;
    assert_eq!(generation(&venue).await, 2);
    venue.restart();
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let (seats, event) = (venue.seats.clone(), venue.event.id.clone());
        tasks.spawn(async move { seats.holds(&event, &ledger_account()).await.is_ok() });
    }
    assert!(tasks.join_all().await.into_iter().all(|answered| answered));
    assert_eq!(generation(&venue).await, 3);
    assert_eq!(venue.drawn(2).await, "h.");
}

fn ledger_account() -> ledger::AccountId {
    ledger::AccountId::parse("acc_nobody").unwrap()
}

#[tokio::test]
async fn another_node_that_recovers_is_given_time() {
    let venue = venue().await;
    venue.held(&venue.account(), &[0]).await;
    // Another node raises the generation, and has not loaded its copy yet.
    let generations = &venue.ledger.books.seat_generations;
    generations.raise_seat_generation(&venue.event.id, 2).await.unwrap();
    let copy = venue.seats.copy(&venue.event);
    let waited = venue.seats.recover(&copy, 2).await;
    assert!(waited.is_err_and(|error| error.is_retryable()));
    let refused = venue.seats.holds(&venue.event.id, &venue.account()).await;
    assert!(refused.is_err_and(|error| error.is_retryable()));
    assert_eq!(generation(&venue).await, 3, "nobody raises it over the winner's head");
}
