//! Scripts forgotten, connections killed, answers lost, servers silent: nothing happens twice, and
//! nobody waits for long.
use super::super::RedisSeatStore;
use allocator::conformance::Fixture;
use allocator::store::{Applied, Find, Lock, Locked, Paid, Pay, SeatHolds, SeatsCopy};
use allocator::{BookTarget, ReleaseAnswer, Wish};
use ledger::{
    AccountId, Booking, BookingOutcome, BookingStatus, Clock, Fenced, PaymentToken, StoreError,
};
use redis_client::testing::{BOUNDS, Loses, PrivateRedis, Wire};
use redis_client::{Redis, RedisBounds, RedisFailure, Value, cmd};
use std::sync::Arc;
use std::time::Duration;

async fn own(server: &PrivateRedis) -> (Fixture, Redis) {
    let redis = Redis::open(&server.url(), BOUNDS).await.unwrap();
    let store = Arc::new(RedisSeatStore::on_given_time(redis.clone()));
    (Fixture::open(store).await, redis)
}

async fn tell(redis: &Redis, words: &[&str]) -> Value {
    let mut command = cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    redis.call("testing", &command).await.unwrap()
}

fn lock_request(fixture: &Fixture, who: &AccountId, wish: Wish) -> Lock {
    let minted = fixture.ids.hold(&fixture.event.id, fixture.clock.now());
    Lock { account: who.clone(), slot: None, wish, key: None, minted }
}

#[tokio::test]
async fn forgotten_scripts_and_killed_connections_are_mended_unseen() {
    let server = PrivateRedis::start().await;
    let (fixture, redis) = own(&server).await;
    let ann = fixture.account();
    for place in 0..4 {
        tell(&redis, &["SCRIPT", "FLUSH"]).await;
        assert!(matches!(fixture.lock(&ann, &[place]).await, Locked::Held(_)));
        let admin = Redis::open(&server.url(), BOUNDS).await.unwrap();
        // Its own connection answers before it is closed; all others are gone.
        tell(&admin, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        // The client hears of it by itself; only what was under way would be in doubt.
        while redis.call("testing", &cmd("PING")).await.is_err() {}
    }
    assert_eq!(fixture.drawn(0..5).await, "hhhh.");
}

/// A store whose answers can be lost, and the same fixture on it.
async fn lossy(server: &PrivateRedis, fixture: &Fixture) -> (Wire, Fixture) {
    let wire = Wire::to(&server.url()).await;
    let redis = Redis::open(&wire.url(), BOUNDS).await.unwrap();
    let store = Arc::new(RedisSeatStore::on_given_time(redis));
    let lossy = fixture.on(store, fixture.generation);
    // Every script is there already: the first answer that is lost is the one that matters.
    lossy.snapshot().await;
    (wire, lossy)
}

#[track_caller]
fn doubtful<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(answer.as_ref().is_err_and(StoreError::is_unknown), "{answer:?}");
}

#[tokio::test]
async fn a_lost_answer_is_in_doubt_and_asking_again_is_harmless() {
    let server = PrivateRedis::start().await;
    let (fixture, _redis) = own(&server).await;
    let ann = fixture.account();
    // Teaches the server every script that is called below.
    let taught = held(fixture.lock(&ann, &[40]).await);
    let command = fixture.begun(&taught).await;
    fixture.unpay(&command.booking_id).await;
    assert_eq!(fixture.apply(&command, BookingStatus::Processing).await, Applied::Already);
    fixture.release(&taught, &ann).await;
    let (wire, lossy) = lossy(&server, &fixture).await;
    let (store, at) = (&lossy.store, lossy.at());

    for wish in [Wish::Places(vec![0, 1]), Wish::Best { quantity: 2, section: None }] {
        let request = lock_request(&fixture, &fixture.account(), wish);
        wire.loses(Loses::One);
        doubtful(store.lock(&at, &request).await);
        let again = held(here(store.lock(&at, &request).await));
        assert_eq!(again.id, request.minted);
        assert_eq!(fixture.holds_of(&request.account).await, [again], "one hold");
    }
    assert_eq!(fixture.drawn(0..5).await, "hhhh.");

    let bob = fixture.account();
    let hold = held(fixture.lock(&bob, &[20]).await);
    let token = PaymentToken::parse("tok_good").unwrap();
    let target = BookTarget::Hold(hold.id.clone());
    let pay = Pay { account: bob, target, payment_token: token, key: None, joins: None };
    wire.loses(Loses::One);
    doubtful(store.pay(&at, &pay).await);
    let Paid::Live { command, .. } = here(store.pay(&at, &pay).await) else { panic!("it pays") };
    assert_eq!(command.attempt, 1);
    let booking = Booking { status: BookingStatus::Confirmed, ..Booking::placed(&command) };
    let outcome = BookingOutcome { booking, slot: None };
    // What a decision reads first changes nothing; what it writes is in doubt.
    wire.loses(Loses::One);
    assert!(store.apply(&at, &outcome).await.is_err_and(|error| error.is_retryable()));
    assert_eq!(fixture.drawn(20..21).await, "p");
    // Connected again: what a handshake answers is not lost.
    lossy.snapshot().await;
    wire.loses(Loses::Second);
    doubtful(store.apply(&at, &outcome).await);
    assert_eq!(here(store.apply(&at, &outcome).await), Applied::Already);
    assert_eq!(fixture.drawn(20..21).await, "s");

    let carl = fixture.account();
    let hold = held(fixture.lock(&carl, &[30]).await);
    wire.loses(Loses::Second);
    doubtful(store.release(&at, &hold.id, &carl).await);
    assert_eq!(here(store.release(&at, &hold.id, &carl).await), ReleaseAnswer::NotFound);
    let newer = lossy.on(lossy.store.clone(), 2);
    wire.loses(Loses::One);
    doubtful(newer.store.load(&newer.at(), SeatsCopy::default()).await);
    newer.load(SeatsCopy::default()).await;
    assert_eq!(newer.drawn(0..5).await, ".....");
}

#[tokio::test]
async fn a_silent_server_keeps_nobody_waiting() {
    let server = PrivateRedis::start().await;
    let (fixture, _redis) = own(&server).await;
    let wire = Wire::to(&server.url()).await;
    let bounds = RedisBounds { response_timeout_ms: 50, connect_timeout_ms: 50, ..BOUNDS };
    let redis = Redis::open(&wire.url(), bounds).await.unwrap();
    let store = RedisSeatStore::on_given_time(redis);
    wire.loses(Loses::All);
    let (at, which) = (fixture.at(), Find::Account(fixture.account()));
    for _ in 0..3 {
        let answer = tokio::time::timeout(Duration::from_secs(10), store.find(&at, &which));
        assert!(answer.await.expect("an error comes soon").is_err());
    }
    wire.loses(Loses::Nothing);
    loop {
        match store.find(&at, &which).await {
            Ok(found) => break assert_eq!(found, Fenced::Is(Vec::new())),
            Err(error) => assert!(error.is_retryable() || error.is_unknown()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn more_calls_than_the_bound_are_refused_at_once() {
    let server = PrivateRedis::start().await;
    let redis =
        Redis::open(&server.url(), RedisBounds { inflight_max: 1, ..BOUNDS }).await.unwrap();
    let pings = futures_util::future::join_all(
        (0..3).map(|_| async { redis.call("testing", &cmd("PING")).await }),
    );
    let answers = pings.await;
    assert!(answers[0].is_ok());
    assert!(answers[1..].iter().all(|ping| ping.as_ref().is_err_and(StoreError::is_retryable)));
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    let server = PrivateRedis::start().await;
    let redis = Redis::open(&server.url(), BOUNDS).await.unwrap();
    tell(&redis, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let refused = RedisSeatStore::open(&server.url(), BOUNDS).await.err();
    assert!(matches!(refused, Some(RedisFailure::Evicts { .. })), "{refused:?}");
}

/// Memory that is full changes nothing, and says so.
#[tokio::test]
async fn a_full_server_refuses_and_changes_nothing() {
    let server = PrivateRedis::start().await;
    let (fixture, redis) = own(&server).await;
    let before = held(fixture.lock(&fixture.account(), &[0]).await);
    tell(&redis, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let lock = lock_request(&fixture, &fixture.account(), Wish::Places(vec![1]));
    let refused = fixture.store.lock(&fixture.at(), &lock).await;
    assert!(refused.is_err_and(|error| error.is_retryable()));
    tell(&redis, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(fixture.drawn(0..2).await, "h.");
    assert_eq!(fixture.hold(&before).await, before);
}

/// The scripts that are sold with go by the server's time, which never runs backwards for a copy.
#[tokio::test]
async fn the_time_is_the_servers_and_never_runs_backwards() {
    let server = PrivateRedis::start().await;
    let store = Arc::new(RedisSeatStore::open(&server.url(), BOUNDS).await.unwrap());
    // The caller's clock stands in another year.
    let fixture = Fixture::open(store.clone()).await;
    let ann = fixture.account();
    let lock = held(fixture.lock(&ann, &[0]).await);
    let ttl = i64::from(fixture.event.terms.hold_ttl_seconds) * 1_000;
    let now = Clock::System.now();
    assert!((lock.until.millis() - ttl - now.millis()).abs() < 60_000);
    // Another server, whose clock was an hour ahead, wrote last.
    let ahead = now.plus_seconds(3_600);
    let fields = store.known(&fixture.event).keys[0].clone();
    tell(&store.redis, &["HSET", &fields, "n", &ahead.millis().to_string()]).await;
    let later = held(fixture.lock(&ann, &[1]).await);
    assert!(later.until.millis() >= ahead.millis() + ttl);
    assert!(fixture.holds_of(&ann).await.iter().all(|hold| hold.id != lock.id), "its time was up");
}

/// What the benchmark is given is what the store sends.
#[tokio::test]
async fn the_benchmarks_call_is_the_stores_own() {
    let server = PrivateRedis::start().await;
    let store = Arc::new(RedisSeatStore::open(&server.url(), BOUNDS).await.unwrap());
    let fixture = Fixture::open(store.clone()).await;
    let request =
        lock_request(&fixture, &fixture.account(), Wish::Best { quantity: 1, section: None });
    let call = store.lock_call(&fixture.at(), &request);
    let mut command = cmd("EVAL");
    command.arg(&call.source).arg(call.keys.len()).arg(&call.keys);
    for argument in &call.args {
        command.arg(argument);
    }
    store.redis.call("testing", &command).await.unwrap();
    assert_eq!(fixture.holds_of(&request.account).await[0].id, request.minted);
    let mut loaded = cmd("SCRIPT");
    loaded.arg("EXISTS").arg(&call.hash);
    let known = store.redis.call("testing", &loaded).await.unwrap();
    assert_eq!(known, Value::Array(vec![Value::Int(1)]));
}

#[track_caller]
fn held(answer: Locked) -> allocator::HoldRecord {
    let Locked::Held(record) = answer else { panic!("expected a hold, got {answer:?}") };
    *record
}

#[track_caller]
fn here<T>(answer: Result<Fenced<T>, StoreError>) -> T {
    match answer.unwrap() {
        Fenced::Is(answer) => answer,
        Fenced::Lost => panic!("the copy was lost"),
    }
}
