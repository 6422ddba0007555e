//! Two nodes over one Redis and one set of books: whatever one does counts on the other.
use super::{open, single};
use crate::RedisQueueStore;
use ledger::books::EventCreated;
use ledger::conformance::TestLedger;
use ledger::keys::Keyring;
use ledger::{
    AccountId, Admission, Clock, DEFAULT_PRICE, Event, Fenced, IdSource, Layout, QueueId,
    QueuePatch, QueueSettings, RecoveryBounds, SaleTerms, SlotRef, Timestamp,
};
use ledger_sqlite::testing::sqlite_ledger_at;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waiting_room::{
    ClaimAnswer, Config, CopyRef, JoinAnswer, Pacer, Parts, PassCheck, PlaceState, Pressures,
    QueueStore, QueueToken, WaitingRoom,
};

/// How many people the crowds of these tests have.
const CROWD: u64 = 120;

fn config() -> Config {
    Config {
        join_combine_ms: 2,
        join_combine_max: 100,
        join_queue_max: 10_000,
        lease_ahead_seconds: 1,
        lease_min: 16,
        pacer_interval_ms: 5,
        list_interval_ms: 1_000,
        step_retry_ms: 1_000,
        settings_recorded_within_ms: 10_000,
        opening_wait_ms: 1_000,
        recovery: RecoveryBounds { wait_ms: 500, poll_ms: 20, winner_ms: 3_000 },
        board_interval_ms: 200,
        board_idle_ms: 1_000,
        issuer: "tidegate".into(),
        leeway_seconds: 5,
        poll: vec![(Some(50), 2_000), (None, 60_000)],
        message: String::new(),
    }
}

fn settings() -> QueueSettings {
    QueueSettings {
        rate_per_minute: 6_000,
        capacity: 50,
        claim_window_seconds: 30,
        return_seconds: 60,
        session_seconds: 600,
        ..QueueSettings::default()
    }
}

fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

/// Two waiting rooms, each with a connection of its own.
struct Nodes {
    ledger: TestLedger,
    queue: QueueId,
    stores: [Arc<RedisQueueStore>; 2],
    rooms: [WaitingRoom; 2],
    _pressure: watch::Sender<Pressures>,
}

impl Nodes {
    async fn new(settings: QueueSettings) -> Self {
        let clock = Clock::System;
        let ledger = sqlite_ledger_at(clock.clone()).await;
        let id = IdSource::system().event(clock.now());
        let queue = QueueId::from(&id);
        let event = event(id, clock.now());
        let created = ledger.books.events.create(&event, Some(settings)).await.unwrap();
        assert_eq!(created, EventCreated::Created);
        let keys = Keyring::ephemeral(clock.now());
        let pressure = watch::Sender::new(Pressures::default());
        let stores = [Arc::new(open(&single()).await), Arc::new(open(&single()).await)];
        let rooms = stores.each_ref().map(|store| {
            WaitingRoom::new(Parts {
                store: store.clone(),
                progress: ledger.books.queue_progress.clone(),
                admissions: ledger.books.admissions.clone(),
                queues: ledger.books.queues.clone(),
                keys: keys.clone(),
                clock: clock.clone(),
                config: config(),
                pressure: pressure.subscribe(),
            })
        });
        Self { ledger, queue, stores, rooms, _pressure: pressure }
    }

    async fn join(&self, node: usize) -> QueueToken {
        loop {
            match self.rooms[node].join(&self.queue, None, None).await {
                Ok(JoinAnswer::Joined { token, .. }) => {
                    return self.rooms[1 - node].read_token(&self.queue, &token).unwrap();
                }
                // Answered with 503: whoever asks again is served.
                Err(error) if error.is_retryable() => tokio::task::yield_now().await,
                other => panic!("not joined: {other:?}"),
            }
        }
    }

    async fn admissions(&self) -> Vec<Admission> {
        self.ledger.books.admissions.admissions(&self.queue).await.unwrap()
    }
}

fn event(id: ledger::EventId, on_sale_at: Timestamp) -> Event {
    Event {
        queue_id: QueueId::from(&id),
        id,
        name: "A night".into(),
        date: "2026-06-01".into(),
        timezone: "UTC".into(),
        venue: "Hall".into(),
        on_sale_at,
        terms: SaleTerms::default(),
        layout_version: 1,
        layout: Arc::new(Layout::plain(10, DEFAULT_PRICE).unwrap()),
        created_at: on_sale_at,
    }
}

#[tokio::test]
async fn a_place_left_on_one_node_is_nobodys_on_the_other() {
    let nodes = Nodes::new(QueueSettings { capacity: 1, ..settings() }).await;
    let _called = nodes.join(0).await;
    let [one, other] = &nodes.rooms;
    for _ in 0..5 {
        let JoinAnswer::Joined { token: signed, .. } =
            one.join(&nodes.queue, None, None).await.unwrap()
        else {
            panic!("joined")
        };
        let token = other.read_token(&nodes.queue, &signed).unwrap();
        let number = token.number.unwrap();
        one.leave(&SlotRef { queue: nodes.queue.clone(), number }).await.unwrap();
        // At once: the other node has not looked since.
        let again = other.join(&nodes.queue, None, Some(&signed)).await.unwrap();
        let JoinAnswer::Joined { standing, .. } = again else { panic!("{again:?}") };
        assert!(standing.number > Some(number));
    }
}

#[tokio::test]
async fn any_node_serves_whoever_another_node_gave_a_place() {
    let nodes = Nodes::new(settings()).await;
    let token = nodes.join(0).await;
    let [one, other] = &nodes.rooms;
    let standing = other.standing(&token).await.unwrap();
    assert_eq!(standing.state, PlaceState::Ready);
    let ClaimAnswer::Admitted(pass) = other.claim(&token, &account("a")).await.unwrap() else {
        panic!("there is room")
    };
    let check = one.check_pass(&nodes.queue, &account("a"), &pass.jwt).await.unwrap();
    assert!(matches!(check, PassCheck::Live(_)));
    let again = one.claim(&token, &account("a")).await.unwrap();
    assert!(matches!(again, ClaimAnswer::Admitted(again) if again.pass == pass.pass));
    let stolen = one.claim(&token, &account("b")).await.unwrap();
    assert!(matches!(stolen, ClaimAnswer::TokenUsed));
    one.leave(&pass.pass.slot).await.unwrap();
    let check = other.check_pass(&nodes.queue, &account("a"), &pass.jwt).await.unwrap();
    assert_eq!(check, PassCheck::Invalid);
}

#[tokio::test]
async fn what_one_node_calls_the_other_one_shows() {
    let nodes = Nodes::new(settings()).await;
    let mut changes = nodes.rooms[1].changes(&nodes.queue).await.unwrap().unwrap();
    for served in 1..=3 {
        let number = nodes.join(0).await.number;
        assert_eq!(number, Some(served), "called at once, there is room");
        while nodes.rooms[1].status(&nodes.queue).await.unwrap().unwrap().now_serving < served {
            changes.changed().await.unwrap();
        }
    }
}

/// Everyone joins on one node or the other, claims on any until they are in, and half of them
/// leave soon.
async fn crowd(nodes: &Arc<Nodes>) {
    let mut people = JoinSet::new();
    for person in 0..CROWD {
        let nodes = nodes.clone();
        people.spawn(async move {
            let ids = IdSource::seeded(person);
            let any = || usize::try_from(ids.random() % 2).unwrap();
            let token = nodes.join(any()).await;
            let account = account(&format!("p{person}"));
            loop {
                match nodes.rooms[any()].claim(&token, &account).await.unwrap() {
                    ClaimAnswer::Admitted(pass) => {
                        if person % 2 == 0 {
                            nodes.rooms[any()].leave(&pass.pass.slot).await.unwrap();
                        }
                        return;
                    }
                    ClaimAnswer::NotYet(_) => {
                        tokio::time::sleep(Duration::from_millis(5 + ids.random() % 40)).await;
                    }
                    other => panic!("not admitted: {other:?}"),
                }
            }
        });
    }
    people.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_and_capacity_hold_over_both_nodes() {
    let settings =
        QueueSettings { rate_per_minute: 3_000, capacity: 10, session_seconds: 2, ..settings() };
    let nodes = Arc::new(Nodes::new(settings).await);
    let stop = CancellationToken::new();
    let mut pacers = JoinSet::new();
    for room in &nodes.rooms {
        pacers.spawn(Pacer::new(room.clone()).run(stop.clone()));
    }
    crowd(&nodes).await;
    stop.cancel();
    pacers.join_all().await;

    let mut rows = nodes.admissions().await;
    assert_eq!(rows.len() as u64, CROWD, "everyone was in once");
    rows.sort_by_key(|row| row.at);
    // I10: 50 a second and a burst of 50, in every window.
    for (i, from) in rows.iter().enumerate() {
        for (j, to) in rows.iter().enumerate().skip(i) {
            let millis = u64::try_from(to.at.millis_since(from.at)).unwrap();
            let allowed = 50 + millis * 50 / 1_000;
            assert!((j - i + 1) as u64 <= allowed, "{} in {millis} ms", j - i + 1);
        }
    }
    // I11: an end is recorded before the store frees the slot, on a clock that may be ahead of
    // the store's by the call's own time only.
    for row in &rows {
        let inside = |other: &&Admission| {
            other.at <= row.at && row.at < other.ended_at.unwrap_or(other.until).min(other.until)
        };
        let active = rows.iter().filter(inside).count();
        assert!(active <= 10, "{active} inside at {}", row.at);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_both_nodes_all_count() {
    let nodes = Arc::new(Nodes::new(settings()).await);
    let mut changes = JoinSet::new();
    for round in 1..=8u32 {
        for node in 0..2 {
            let nodes = nodes.clone();
            changes.spawn(async move {
                let patch = match node {
                    0 => QueuePatch { capacity: Some(10 * round), ..QueuePatch::default() },
                    _ => QueuePatch { rate_per_minute: Some(600 * round), ..QueuePatch::default() },
                };
                // Whoever always comes second is told so, and asks again.
                while nodes.rooms[node].configure(&nodes.queue, patch).await.is_err() {}
            });
        }
    }
    changes.join_all().await;
    let queues = &nodes.ledger.books.queues;
    let queue = queues.queue(&nodes.queue).await.unwrap().unwrap();
    let history = queues.limits(&nodes.queue).await.unwrap();
    assert_eq!(queue.revision, 17, "every change is a revision");
    assert_eq!(history.len(), 17);
    for two in history.windows(2) {
        assert!(two[0].at <= two[1].at, "on one clock");
        let (was, is) = (two[0].settings, two[1].settings);
        let changed = u8::from(was.capacity != is.capacity)
            + u8::from(was.rate_per_minute != is.rate_per_minute);
        assert!(changed <= 1, "each changes its own: {was:?}, {is:?}");
    }
    let record = nodes.ledger.books.queue_progress.record(&nodes.queue).await.unwrap().unwrap();
    for (room, store) in nodes.rooms.iter().zip(&nodes.stores) {
        room.status(&nodes.queue).await.unwrap().unwrap();
        let copy = CopyRef {
            queue: &nodes.queue,
            generation: record.generation,
            now: Clock::System.now(),
        };
        let Fenced::Is((snapshot, _)) = store.look(copy, None).await.unwrap() else {
            panic!("the copy was lost")
        };
        assert_eq!((snapshot.settings, snapshot.revision), (queue.settings, 17));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_store_is_recovered_once_by_nodes_that_find_it_together() {
    let nodes = Arc::new(Nodes::new(settings()).await);
    let token = nodes.join(0).await;
    let ClaimAnswer::Admitted(pass) = nodes.rooms[1].claim(&token, &account("a")).await.unwrap()
    else {
        panic!("there is room")
    };
    let mut numbers: Vec<u64> = vec![token.number.unwrap()];
    for loss in 1..=4 {
        nodes.stores[0].forget(&nodes.queue).await;
        let mut joins = JoinSet::new();
        for person in 0..16 {
            let nodes = nodes.clone();
            joins.spawn(async move { nodes.join(person % 2).await.number.unwrap() });
        }
        numbers.extend(joins.join_all().await);
        let check = nodes.rooms[loss % 2].check_pass(&nodes.queue, &account("a"), &pass.jwt).await;
        assert!(matches!(check.unwrap(), PassCheck::Live(_)), "people are kept");
        let record = nodes.ledger.books.queue_progress.record(&nodes.queue).await.unwrap().unwrap();
        assert!(record.generation >= 2 + loss as u64, "raised at every loss");
    }
    let given = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), given, "no number twice");
}
