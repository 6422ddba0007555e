//! Many at once: exactly one holder a place, exactly one booking a hold.
use super::{Fixture, held};
use crate::store::{Locked, Paid, SeatStore};
use ledger::SectionId;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinSet;

pub(super) async fn all(store: Arc<dyn SeatStore>) {
    one_seat_one_holder(store.clone()).await;
    one_winner(store.clone()).await;
    one_hold_a_key(store.clone()).await;
    one_booking_a_hold(store).await;
}

/// 200 people want one of 50 places: 50 get one each, and no place twice.
async fn one_seat_one_holder(store: Arc<dyn SeatStore>) {
    let fixture = Arc::new(Fixture::open(store).await);
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let fixture = fixture.clone();
        tasks.spawn(async move {
            let floor = SectionId::parse("floor").expect("a valid id");
            fixture.best(&fixture.account(), 1, Some(floor)).await
        });
    }
    let mut places = Vec::new();
    for answer in tasks.join_all().await {
        match answer {
            Locked::Held(hold) => places.extend(hold.places),
            Locked::SoldOut => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(places.len(), 50);
    assert_eq!(places.iter().collect::<HashSet<_>>().len(), 50);
    assert_eq!(fixture.sweep().await.holds, 50);
}

/// 100 people want overlapping pairs of two places and their neighbours: one gets them.
async fn one_winner(store: Arc<dyn SeatStore>) {
    let fixture = Arc::new(Fixture::open(store).await);
    let mut tasks = JoinSet::new();
    for n in 0..100u32 {
        let fixture = fixture.clone();
        let pair = [[4, 5], [5, 6]][n as usize % 2];
        tasks.spawn(async move { fixture.lock(&fixture.account(), &pair).await });
    }
    let answers = tasks.join_all().await;
    let won = answers.iter().filter(|answer| matches!(answer, Locked::Held(_))).count();
    let lost = answers.iter().filter(|answer| **answer == Locked::Taken).count();
    assert_eq!((won, lost), (1, 99));
}

/// A lock whose reply was lost is sent again, also while the first is still under way.
async fn one_hold_a_key(store: Arc<dyn SeatStore>) {
    let fixture = Arc::new(Fixture::open(store).await);
    let ann = fixture.account();
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (fixture, ann) = (fixture.clone(), ann.clone());
        tasks.spawn(async move { fixture.lock_keyed(&ann, &[7, 8], ("key", 1)).await });
    }
    let ids: HashSet<_> = tasks.join_all().await.into_iter().map(|a| held(a).id).collect();
    assert_eq!(ids.len(), 1);
}

/// Twenty books of one hold: one begins the payment, all name the same booking.
async fn one_booking_a_hold(store: Arc<dyn SeatStore>) {
    let fixture = Arc::new(Fixture::open(store).await);
    let hold = held(fixture.lock(&fixture.account(), &[0, 1]).await);
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (fixture, hold) = (fixture.clone(), hold.clone());
        tasks.spawn(async move { fixture.pay_hold(&hold, None).await });
    }
    let (mut begun, mut bookings) = (0, HashSet::new());
    for answer in tasks.join_all().await {
        match answer {
            Paid::Begun(command) => {
                begun += 1;
                bookings.insert(command.booking_id);
            }
            Paid::Live { command, .. } => {
                bookings.insert(command.booking_id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((begun, bookings.len()), (1, 1));
}
