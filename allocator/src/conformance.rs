//! The contract of the seat store as a test suite, for the tests of every backend.
//!
//! Each function takes a store that may be shared: it uses an event of its own.
mod contention;
mod fixture;
mod generations;
mod payments;
pub mod venue;

pub use fixture::{Fixture, NOW};

use crate::store::{Locked, SeatStore};
use crate::{HoldRecord, ReleaseAnswer, Wish};
use ledger::SectionId;
use std::sync::Arc;

/// Everything a seat store promises.
pub async fn all(store: Arc<dyn SeatStore>) {
    exclusive(store.clone()).await;
    keys(store.clone()).await;
    cap(store.clone()).await;
    expiry(store.clone()).await;
    best(store.clone()).await;
    contention::all(store.clone()).await;
    payments::all(store.clone()).await;
    generations::all(store).await;
}

/// A hold is whole or not at all, and one's own again is the same one.
pub async fn exclusive(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    let hold = held(fixture.lock(&ann, &[0, 1]).await);
    assert_eq!(fixture.lock(&bob, &[1, 2]).await, Locked::Taken);
    assert_eq!(fixture.drawn(0..3).await, "hh.", "a lock that is refused takes nothing");
    assert_eq!(held(fixture.lock(&ann, &[1, 0]).await), hold, "one's own places in any order");
    assert_eq!(held(fixture.lock(&ann, &[0]).await), hold, "a part of one's own hold");
    assert_eq!(fixture.lock(&ann, &[0, 1, 2]).await, Locked::Taken, "more than one's own hold");
    assert_eq!(fixture.release(&hold, &bob).await, ReleaseAnswer::NotHolder);
    assert_eq!(fixture.release(&hold, &ann).await, ReleaseAnswer::Released);
    assert_eq!(fixture.release(&hold, &ann).await, ReleaseAnswer::NotFound);
    assert_eq!(fixture.drawn(0..3).await, "...");
    held(fixture.lock(&bob, &[1, 2]).await);
}

/// A key is compared before anything else.
pub async fn keys(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    let hold = held(fixture.lock_keyed(&ann, &[0], ("k", 1)).await);
    assert_eq!(held(fixture.lock_keyed(&ann, &[0], ("k", 1)).await), hold);
    assert_eq!(fixture.lock_keyed(&ann, &[3], ("k", 2)).await, Locked::Mismatch);
    held(fixture.lock_keyed(&bob, &[1], ("k", 2)).await);
    assert_eq!(held(fixture.lock_keyed(&ann, &[0], ("again", 1)).await), fixture.hold(&hold).await);
    assert_eq!(fixture.found_by(&ann, "again").await, [fixture.hold(&hold).await]);
    assert_eq!(fixture.found_by(&ann, "never").await, []);
    assert_ne!(fixture.found_by(&bob, "k").await[0].id, hold.id, "a key is its account's own");
    fixture.release(&hold, &ann).await;
    assert_eq!(fixture.found_by(&ann, "k").await[0].id, hold.id, "also when it is over");
    for key in ["k", "again"] {
        assert_eq!(fixture.lock_keyed(&ann, &[0], (key, 1)).await, Locked::Expired);
    }
    assert_eq!(fixture.lock_keyed(&ann, &[0], ("k", 2)).await, Locked::Mismatch);
    fixture.wait_seconds(fixture.at().limits.key_seconds);
    assert_eq!(fixture.found_by(&ann, "k").await, []);
    held(fixture.lock_keyed(&ann, &[5], ("k", 2)).await);
}

/// Held, paying and sold seats count, whichever way they are asked for.
pub async fn cap(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let ann = fixture.account();
    let first = held(fixture.lock(&ann, &[0, 1]).await);
    let booking = fixture.begun(&first).await;
    held(fixture.lock(&ann, &[2]).await);
    assert_eq!(fixture.lock(&ann, &[4, 5]).await, Locked::OverCap);
    assert_eq!(fixture.best(&ann, 2, None).await, Locked::OverCap);
    fixture.confirm(&booking).await;
    assert_eq!(fixture.lock(&ann, &[4, 5]).await, Locked::OverCap);
    let last = held(fixture.lock(&ann, &[4]).await);
    fixture.release(&last, &ann).await;
    held(fixture.best(&ann, 1, None).await);
    assert_eq!(fixture.lock(&ann, &[9]).await, Locked::OverCap);
}

/// A hold is there until its time, and gone at its time.
pub async fn expiry(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    let hold = held(fixture.lock(&ann, &[0, 1]).await);
    assert_eq!(hold.until, NOW.plus_seconds(fixture.event.terms.hold_ttl_seconds));
    fixture.wait_millis(hold.until.millis_since(NOW) - 1);
    assert_eq!(fixture.lock(&bob, &[0]).await, Locked::Taken);
    assert_eq!(fixture.sweep().await.ended, 0);
    fixture.wait_millis(1);
    assert_eq!(fixture.drawn(0..2).await, "..", "every call sees what is due");
    assert!(fixture.holds_of(&ann).await.is_empty());
    held(fixture.lock(&bob, &[0]).await);
    assert_eq!(fixture.release(&hold, &ann).await, ReleaseAnswer::NotFound);
}

/// Side by side, or in any places of a general admission section.
pub async fn best(store: Arc<dyn SeatStore>) {
    let fixture = Fixture::open(store).await;
    let (ann, bob) = (fixture.account(), fixture.account());
    assert_eq!(held(fixture.best(&ann, 2, None).await).places, [0, 1]);
    assert_eq!(held(fixture.best(&bob, 4, None).await).places, [2, 3, 4, 5]);
    let floor = SectionId::parse("floor").expect("a valid id");
    let hold = held(fixture.best(&ann, 2, Some(floor)).await);
    assert_eq!(hold.places, [Fixture::FLOOR, Fixture::FLOOR + 1]);
    let gallery = SectionId::parse("gallery").expect("a valid id");
    let carl = fixture.account();
    assert_eq!(fixture.best(&carl, 1, Some(gallery)).await, Locked::SoldOut);
    let nobody = Wish::Best { quantity: 0, section: None };
    assert_eq!(fixture.wish(&carl, nobody, None).await, Locked::SoldOut);
}

#[track_caller]
fn held(answer: Locked) -> HoldRecord {
    match answer {
        Locked::Held(record) => *record,
        other => panic!("expected a hold, got {other:?}"),
    }
}
