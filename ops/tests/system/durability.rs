//! kill -9 at any moment under load: what was acknowledged is there afterwards, and every accepted
//! booking ends.
use crate::harness::{
    ADMIN, Answer, Client, Node, PATIENCE, TIDEGATE, assert_audit_holds, assert_queue_audit_holds,
    mint,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const KILLS: usize = 8;
const BUYERS: usize = 24;
const HOLDERS: usize = 6;

/// What the server has acknowledged.
#[derive(Default)]
struct Acknowledged {
    numbers: Vec<u64>,
    /// Booking id to the login that placed it.
    bookings: BTreeMap<String, String>,
}

/// A visitor's world: the event, what was acknowledged, and how much so far.
#[derive(Clone)]
struct World {
    client: Client,
    event: String,
    acknowledged: Arc<Mutex<Acknowledged>>,
    count: watch::Sender<usize>,
}

impl World {
    fn bookings(&self) -> usize {
        self.acknowledged.lock().unwrap().bookings.len()
    }

    fn acknowledge(&self, note: impl FnOnce(&mut Acknowledged)) {
        note(&mut self.acknowledged.lock().unwrap());
        self.count.send_modify(|count| *count += 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let node = Node::start(data, &["--no-limits"]).await;
    let address = node.base.strip_prefix("http://").unwrap().to_owned();
    let visitor = node.client();
    let event = visitor
        .event(json!({
            "name": "Night", "date": "2030-01-01", "venue": "Hall", "total_seats": 2_000,
            "seats_per_account_max": 2_000, "hold_ttl_seconds": 600,
        }))
        .await;
    let count = watch::Sender::new(0);
    let world = World { client: visitor, event, acknowledged: Arc::default(), count };
    let tokens = mint(data, BUYERS + HOLDERS).await;
    let (holders, buyers) = tokens.split_at(HOLDERS);
    let holds = hold_and_wait(&world, holders).await;

    let closing = CancellationToken::new();
    let mut people = JoinSet::new();
    for token in buyers {
        people.spawn(buy_until(world.clone(), token.clone(), closing.clone()));
    }
    let mut node = node;
    let mut serving = 0;
    for kill in 1..=KILLS {
        // Every kill meets the buyers somewhere else: its moment is counted in acknowledgements,
        // bookings among them, however fast the machine is.
        let next = *world.count.borrow() + 13 + 7 * kill;
        let mut count = world.count.subscribe();
        let far = |now: &usize| *now >= next && world.bookings() >= kill;
        timeout(PATIENCE, count.wait_for(far)).await.expect("progress").unwrap();
        node.kill().await;
        node = Node::start_at(data, &address, &["--no-limits"]).await;
        assert_holds_are_there(&world, &holds).await;
        serving = assert_line_never_goes_back(&world, serving).await;
    }
    closing.cancel();
    while let Some(ended) = people.join_next().await {
        ended.unwrap();
    }
    assert_ends(&world, data, node).await;
}

/// Each holder locks one seat and keeps it, unpaid.
async fn hold_and_wait(world: &World, holders: &[String]) -> Vec<(Client, Value)> {
    let mut holds = Vec::new();
    for token in holders {
        let client = world.client.logged_in(token);
        let wish = json!({"event_id": world.event, "best_available": {"quantity": 1}});
        let hold = client.post("/api/tickets/lock", wish).await.expect(200);
        holds.push((client, hold["hold_id"].clone()));
    }
    holds
}

async fn assert_holds_are_there(world: &World, holds: &[(Client, Value)]) {
    for (client, hold) in holds {
        let path = format!("/api/tickets/lock?event_id={}", world.event);
        let mine = available(client, &path).await.expect(200);
        assert_eq!(&mine["items"][0]["hold_id"], hold, "{mine}");
    }
}

/// `now_serving` is recorded before anyone sees it, so no restart takes it back.
async fn assert_line_never_goes_back(world: &World, before: u64) -> u64 {
    let board = available(&world.client, &format!("/api/queue/{}", world.event)).await.expect(200);
    let now = board["now_serving"].as_u64().unwrap();
    assert!(now >= before, "{board}");
    now
}

/// A recovering node says 503 with `Retry-After`; anything else is its answer.
async fn available(client: &Client, path: &str) -> Answer {
    let ask = async {
        loop {
            let answer = client.get(path).await;
            if answer.status != 503 {
                return answer;
            }
            assert!(answer.header("retry-after").is_some());
        }
    };
    timeout(PATIENCE, ask).await.expect("the node recovers")
}

/// Joins, holds and books, again and again, through every death of the node.
async fn buy_until(world: World, token: String, closing: CancellationToken) {
    let client = world.client.logged_in(&token);
    let wish = json!({"event_id": world.event, "best_available": {"quantity": 2}});
    let mut round = 0;
    while !closing.is_cancelled() {
        round += 1;
        let join = format!("/api/queue/{}/join", world.event);
        if let Some(place) = attempt(&client, &join, json!({}), 201).await {
            let number = place["number"].as_u64().unwrap();
            world.acknowledge(|all| all.numbers.push(number));
        }
        let keyed = client.with("idempotency-key", &format!("{token:.8}-{round}"));
        let Some(hold) = attempt(&keyed, "/api/tickets/lock", wish.clone(), 200).await else {
            continue;
        };
        let pay = ["tok_good", "tok_good", "tok_decline", "tok_unknown"][round % 4];
        let book = json!({
            "event_id": world.event, "hold_id": hold["hold_id"], "payment_token": pay,
        });
        if let Some(booked) = attempt(&client, "/api/tickets/book", book, 202).await {
            let id = booked["booking_id"].as_str().unwrap().to_owned();
            world.acknowledge(|all| {
                all.bookings.insert(id, token.clone());
            });
        }
    }
}

/// The answer's JSON if it was acknowledged with `status`; a dead or recovering node gives none.
async fn attempt(client: &Client, path: &str, body: Value, status: u16) -> Option<Value> {
    let answer = client.try_send(http::Method::POST, path, Some(body)).await.ok()?;
    let code = answer.status.as_u16();
    let expected = code == status || matches!(code, 403 | 409 | 410 | 503);
    assert!(expected, "{path}: {code} {}", String::from_utf8_lossy(&answer.body));
    (code == status).then(|| answer.json())
}

/// No number twice, every booking terminal, and the books in order.
async fn assert_ends(world: &World, data: &Path, node: Node) {
    let (numbers, bookings) = {
        let all = world.acknowledged.lock().unwrap();
        (all.numbers.clone(), all.bookings.clone())
    };
    let unique: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(unique.len(), numbers.len(), "a number was given twice");
    assert!(bookings.len() >= KILLS, "only {} bookings were accepted", bookings.len());
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for (booking, token) in &bookings {
        let end = world.client.logged_in(token).settled(booking).await;
        *ends.entry(end["status"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(ends.contains_key("confirmed") && ends.contains_key("declined"), "{ends:?}");
    let known: usize = ends.values().sum();
    let terminal = ["confirmed", "declined", "expired"].iter().filter_map(|end| ends.get(*end));
    assert_eq!(terminal.sum::<usize>(), known, "{ends:?}");
    assert!(node.stop().await.success());
    assert_audit_holds(data).await;
}

/// The most a file may grow to, in KiB: the database fits, a sale under way soon does not.
const FULL_AT_KIB: u32 = 1_500;

#[tokio::test]
async fn a_full_disk_ends_the_node_and_makes_nothing_worse() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    // A file-size limit stands for a full disk: writes fail, and the signal is ignored.
    let limited = format!("trap '' XFSZ; ulimit -f {FULL_AT_KIB}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &limited, TIDEGATE, "serve", "--no-limits", "--data"]).arg(data);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).kill_on_drop(true);
    command.env("TIDEGATE_ADMIN_USERNAME", ADMIN.0).env("TIDEGATE_ADMIN_PASSWORD", ADMIN.1);
    let node = Node::run(command).await;
    let event = json!({
        "name": "Night", "date": "2030-01-01", "venue": "Hall", "total_seats": 5_000,
        "seats_per_account_max": 5_000,
    });
    let event = node.client().event(event).await;
    let ada = node.client().register("ada").await;
    let mut held = Vec::new();
    let wish = json!({"event_id": event, "best_available": {"quantity": 1}});
    let fill = async {
        loop {
            let answer = ada.try_send(http::Method::POST, "/api/tickets/lock", Some(wish.clone()));
            match answer.await {
                Ok(answer) if answer.status == 200 => held.push(answer.json()["hold_id"].clone()),
                Ok(answer) => assert_eq!(answer.status, 503),
                Err(_) => return,
            }
        }
    };
    timeout(PATIENCE, fill).await.expect("the disk fills up");
    let (status, said) = node.ended().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the database can no longer be written"), "{said}");
    assert!(!held.is_empty());

    let node = Node::start(data, &["--no-limits"]).await;
    let ada = node.client().login("ada", "correct horse").await;
    let path = format!("/api/tickets/lock?event_id={event}");
    let kept = available(&ada, &path).await.expect(200);
    let kept: BTreeSet<String> =
        kept["items"].as_array().unwrap().iter().map(|hold| hold["hold_id"].to_string()).collect();
    assert!(held.iter().all(|hold| kept.contains(&hold.to_string())));
    assert!(node.stop().await.success());
    assert_queue_audit_holds(data).await;
}
