//! Several nodes on one Redis and one record: one holder a seat, one resend a deadline length, one
//! recovery a loss.
use crate::RedisSeatStore;
use allocator::conformance::NOW;
use allocator::conformance::venue::{LogState, Venue};
use allocator::{
    BookAnswer, Error, HoldSweeper, LockAnswer, LockRequest, SeatAllocator, SeatStore, Wish,
};
use ledger::{BookingStatus, Clock, SectionId};
use ledger_sqlite::testing::sqlite_ledger_at;
use redis_client::testing::{BOUNDS, PrivateRedis, both, single};
use redis_client::{Redis, cmd};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A node's own connections, and scripts that go by the venue's clock.
async fn store(url: &str) -> Arc<dyn SeatStore> {
    let redis = Redis::open(url, BOUNDS).await.unwrap_or_else(|error| {
        panic!("these tests need Redis at {url}: start it with `ops/dev/up redis` ({error})")
    });
    Arc::new(RedisSeatStore::on_given_time(redis))
}

async fn venue_on(store: Arc<dyn SeatStore>) -> Venue {
    let clock = Clock::manual(NOW);
    Venue::open(sqlite_ledger_at(clock.clone()).await, clock, Some(store)).await
}

/// A venue with a node, and a second node.
async fn two_nodes(url: &str) -> (Venue, SeatAllocator) {
    let venue = venue_on(store(url).await).await;
    let second = venue.node(store(url).await);
    (venue, second)
}

async fn command(url: &str, words: &[&str]) {
    let redis = Redis::open(url, BOUNDS).await.unwrap();
    let mut command = cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    redis.call("testing", &command).await.unwrap();
}

async fn generation(venue: &Venue) -> u64 {
    venue.ledger.books.seat_generations.seat_generation(&venue.event.id).await.unwrap().unwrap()
}

/// Locks again until the copy is recovered, as a client does on 503.
async fn locked(seats: &SeatAllocator, request: &LockRequest) -> LockAnswer {
    loop {
        match seats.lock(request.clone()).await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn floor(venue: &Venue) -> LockRequest {
    let section = Some(SectionId::parse("floor").unwrap());
    LockRequest {
        event: venue.event.clone(),
        account: venue.account(),
        slot: None,
        wish: Wish::Best { quantity: 1, section },
        together: true,
        key: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_buyers_at_two_nodes_get_fifty_seats() {
    for url in both() {
        let (venue, second) = two_nodes(&url).await;
        let mut tasks = JoinSet::new();
        for buyer in 0..200 {
            let seats = if buyer % 2 == 0 { venue.seats.clone() } else { second.clone() };
            let request = floor(&venue);
            tasks.spawn(async move { locked(&seats, &request).await });
        }
        let (mut items, mut refused) = (Vec::new(), 0);
        for answer in tasks.join_all().await {
            match answer {
                LockAnswer::Held(hold) => items.extend(hold.items),
                LockAnswer::SoldOut => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        let distinct: HashSet<_> = items.iter().map(|item| item.item.clone()).collect();
        assert_eq!((items.len(), distinct.len(), refused), (50, 50, 150));
    }
}

#[tokio::test]
async fn any_node_goes_on_where_another_began() {
    let (venue, second) = two_nodes(&single()).await;
    let ann = venue.account();
    let hold = venue.held(&ann, &[0, 1]).await;
    assert_eq!(second.hold(&hold.id).await.unwrap(), Some(hold.clone()));
    let booking = venue.booked(&hold).await;
    assert_eq!(second.paying_booking(&booking.id).await.unwrap().unwrap().id, booking.id);
    let outcome = venue.decide(true).await;
    assert_eq!(outcome.booking.status, BookingStatus::Confirmed);
    venue.apply(&second, &outcome).await.unwrap();
    assert_eq!(venue.drawn(3).await, "ss.");
}

#[tokio::test]
async fn what_is_overdue_is_sent_once_a_deadline_length_over_all_nodes() {
    let (venue, second) = two_nodes(&single()).await;
    for place in 0..3 {
        let hold = venue.held(&venue.account(), &[place]).await;
        venue.log.is(LogState::LosesMessages);
        venue.book(&hold, None).await.unwrap_err();
        venue.log.is(LogState::Up);
    }
    let sweepers = [venue.seats.clone(), second].map(HoldSweeper::new);
    for (waits, expected) in [(59, 0), (1, 3), (59, 3), (1, 6)] {
        venue.wait_seconds(waits);
        for _ in 0..3 {
            tokio::join!(sweepers[0].sweep(), sweepers[1].sweep());
        }
        assert_eq!(venue.commands().len(), expected);
    }
}

#[tokio::test]
async fn a_node_that_never_saw_an_event_sends_its_overdue_commands() {
    let (venue, second) = two_nodes(&single()).await;
    let hold = venue.held(&venue.account(), &[0]).await;
    venue.log.is(LogState::LosesMessages);
    venue.book(&hold, None).await.unwrap_err();
    venue.log.is(LogState::Up);
    venue.wait_seconds(60);
    // The first node is no more.
    let shutdown = CancellationToken::new();
    let running = HoldSweeper::new(second).run(shutdown.clone());
    let seen = async {
        while venue.commands().is_empty() {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
    };
    tokio::join!(running, seen);
    assert_eq!(venue.commands()[0].hold_id, hold.id);
}

/// What is sold and claimed outlives every loss; what nobody paid for does not.
async fn sale(venue: &Venue) {
    let unpaid = venue.held(&venue.account(), &[0]).await;
    let claimed = venue.held(&venue.account(), &[1, 2]).await;
    venue.booked(&claimed).await;
    venue.claim().await;
    let sold = venue.held(&venue.account(), &[3]).await;
    venue.booked(&sold).await;
    let outcome = venue.decide(true).await;
    venue.apply(&venue.seats, &outcome).await.unwrap();
    assert_eq!(venue.drawn(5).await, "hpps.");
    assert!(venue.seats.hold(&unpaid.id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_server_is_recovered_once_by_all_nodes_together() {
    let server = PrivateRedis::start().await;
    let (venue, second) = two_nodes(&server.url()).await;
    sale(&venue).await;
    second.holds(&venue.event.id, &venue.account()).await.unwrap();
    assert_eq!(generation(&venue).await, 2);
    command(&server.url(), &["FLUSHALL"]).await;
    let mut tasks = JoinSet::new();
    for buyer in 0..40 {
        let seats = if buyer % 2 == 0 { venue.seats.clone() } else { second.clone() };
        let request = floor(&venue);
        tasks.spawn(async move { locked(&seats, &request).await });
    }
    for answer in tasks.join_all().await {
        assert!(matches!(answer, LockAnswer::Held(_)), "{answer:?}");
    }
    assert_eq!(generation(&venue).await, 3, "one recovery for all");
    assert_eq!(venue.drawn(5).await, ".pps.");
    let found = second.seats(&venue.event.id).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&found.body).contains("\".pps."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_empty_is_refused_while_it_is_down_and_recovered_then() {
    let mut server = PrivateRedis::start().await;
    let venue = venue_on(store(&server.url()).await).await;
    sale(&venue).await;
    server.kill();
    let request = floor(&venue);
    let mut known = 0;
    for _ in 0..5 {
        match venue.seats.lock(request.clone()).await.unwrap_err() {
            Error::Store(error) => known += u32::from(error.is_retryable()),
            other => panic!("{other:?}"),
        }
    }
    assert!(known >= 4, "once it is known to be away, nothing is in doubt");
    server.up().await;
    assert!(matches!(locked(&venue.seats, &request).await, LockAnswer::Held(_)));
    assert_eq!(venue.drawn(5).await, ".pps.");
    // Whoever was paying pays on.
    let claimed = venue.commands().into_iter().find(|command| command.items.len() == 2).unwrap();
    let outcome = venue.settle(&claimed, false).await;
    venue.apply(&venue.seats, &outcome).await.unwrap();
    let hold = venue.seats.hold(&claimed.hold_id).await.unwrap().unwrap();
    assert!(matches!(venue.book(&hold, None).await.unwrap(), BookAnswer::Accepted(_)));
}

/// A node that comes while another loads the copy waits for that one instead of taking it away.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_during_a_recovery_leaves_its_holds_alone() {
    let server = PrivateRedis::start().await;
    let (venue, second) = two_nodes(&server.url()).await;
    let hold = venue.held(&venue.account(), &[0]).await;
    // The second node's first look at the event falls between the winner's generation and its copy.
    let loader = store(&server.url()).await;
    let generations = &venue.ledger.books.seat_generations;
    generations.raise_seat_generation(&venue.event.id, 2).await.unwrap();
    loader.surviving_holds(&venue.event, 3).await.unwrap();
    let at = venue.at(3);
    let request = floor(&venue);
    let locking = second.lock(request.clone());
    let loaded = async {
        tokio::task::yield_now().await;
        loader.load(&at, allocator::store::SeatsCopy::default()).await.unwrap()
    };
    let (answer, loaded) = tokio::join!(locking, loaded);
    assert!(matches!(answer, Ok(LockAnswer::Held(_)) | Err(Error::Recovering)), "{answer:?}");
    assert_eq!(loaded, allocator::store::LoadOutcome::Swapped);
    assert!(matches!(locked(&second, &floor(&venue)).await, LockAnswer::Held(_)));
    assert_eq!(generation(&venue).await, 3, "nobody raised it again");
    assert!(second.hold(&hold.id).await.unwrap().is_none(), "what a loss takes is unpaid holds");
}

/// The winner of a recovery that comes back late neither answers nor undoes the later one.
#[tokio::test]
async fn a_recovery_that_comes_late_undoes_nothing() {
    let server = PrivateRedis::start().await;
    let (venue, second) = two_nodes(&server.url()).await;
    venue.held(&venue.account(), &[0]).await;
    // Another node won generation 3, marked the copy lost, and sleeps.
    let generations = &venue.ledger.books.seat_generations;
    generations.raise_seat_generation(&venue.event.id, 2).await.unwrap();
    let sleeper = store(&server.url()).await;
    sleeper.surviving_holds(&venue.event, 3).await.unwrap();
    let request = floor(&venue);
    assert!(venue.seats.lock(request.clone()).await.is_err());
    // It is given its time; then somebody else wins.
    assert!(matches!(locked(&second, &request).await, LockAnswer::Held(_)));
    assert_eq!(generation(&venue).await, 4);
    let late = venue.at(3);
    let loaded = sleeper.load(&late, allocator::store::SeatsCopy::default()).await.unwrap();
    assert_eq!(loaded, allocator::store::LoadOutcome::NotNewer);
    assert_eq!(second.availability(&venue.event.id).await.unwrap().unwrap().held, 1);
}
