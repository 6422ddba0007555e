//! The same key and body, the same answer and one effect.
use crate::client::{Request, Response};
use crate::fixture::Fixture;
use ledger::Role;
use ledger::books::RequestKey;
use serde_json::json;

fn keyed(request: Request, key: &str) -> Request {
    request.header("idempotency-key", key)
}

fn same(one: &Response, two: &Response) {
    assert_eq!(one.status, two.status);
    assert_eq!(one.body, two.body);
    for name in ["content-type", "location", "set-cookie", "admission-pass"] {
        assert_eq!(one.header(name), two.header(name), "{name}");
    }
}

#[tokio::test]
async fn an_event_is_made_once() {
    let fixture = Fixture::open().await;
    let (admin, other) = (fixture.login(Role::Admin).await, fixture.login(Role::Admin).await);
    let form = json!({ "name": "N", "date": "2030-05-01", "venue": "V", "total_seats": 1 });
    let make = |login: &str, key: &str, form| {
        keyed(fixture.request("POST", "/api/events").login(login).json(form), key).send()
    };
    let first = make(&admin, "k1", &form).await.expect(201);
    same(&first, &make(&admin, "\"k1\"", &form).await);
    let mut changed = form.clone();
    changed["name"] = json!("M");
    let mismatch = make(&admin, "k1", &changed).await;
    assert_eq!(mismatch.refusal(), (422, "idempotency_mismatch".into()));
    let theirs = make(&other, "k1", &form).await.expect(201);
    assert_ne!(theirs.json()["id"], first.json()["id"], "a key is its account's own");
    let second = make(&admin, "k2", &form).await.expect(201);
    assert_ne!(second.json()["id"], first.json()["id"]);
    let events = fixture.get("/api/events").await.json();
    assert_eq!(events["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_registration_is_answered_again() {
    let fixture = Fixture::open().await;
    let form = json!({ "username": "alice", "password": "correct horse" });
    let make = || keyed(fixture.request("POST", "/api/auth/register").json(&form), "k").send();
    let first = make().await.expect(201);
    same(&first, &make().await);
    let bare = fixture.request("POST", "/api/auth/register").json(&form).send().await;
    assert_eq!(bare.refusal(), (409, "username_taken".into()));
}

#[tokio::test]
async fn a_refusal_is_kept_too() {
    let fixture = Fixture::open().await;
    let form = json!({ "username": "alice", "password": "correct horse" });
    fixture.request("POST", "/api/auth/register").json(&form).send().await.expect(201);
    let again = || keyed(fixture.request("POST", "/api/auth/register").json(&form), "late").send();
    let first = again().await;
    assert_eq!(first.refusal(), (409, "username_taken".into()));
    same(&first, &again().await);
}

#[tokio::test]
async fn a_join_key_counts_only_with_a_login() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 1, "queue": { "state": "paused" } })).await;
    let path = format!("/api/queue/{event}/join");
    let login = fixture.login(Role::User).await;
    let mine = || keyed(fixture.request("POST", &path).login(&login), "k").send();
    let first = mine().await.expect(201);
    same(&first, &mine().await);
    let anyone = || keyed(fixture.request("POST", &path), "k").send();
    let (one, two) = (anyone().await.expect(201), anyone().await.expect(201));
    assert_ne!(one.json()["number"], two.json()["number"]);
}

#[tokio::test]
async fn locks_and_books_keep_their_keys() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 9 })).await;
    let login = fixture.login(Role::User).await;
    let post = |path: &str, key: &str, body| {
        keyed(fixture.request("POST", path).login(&login).json(body), key).send()
    };
    let best = json!({ "event_id": event, "best_available": { "quantity": 1 } });
    let first = post("/api/tickets/lock", "k", &best).await.expect(200).json();
    let again = post("/api/tickets/lock", "k", &best).await.expect(200).json();
    assert_eq!(again["hold_id"], first["hold_id"]);
    let other = json!({ "event_id": event, "best_available": { "quantity": 2 } });
    let mismatch = post("/api/tickets/lock", "k", &other).await;
    assert_eq!(mismatch.refusal(), (422, "idempotency_mismatch".into()));

    let book = json!({ "event_id": event, "hold_id": first["hold_id"] });
    let one = post("/api/tickets/book", "b", &book).await.expect(202).json();
    let two = post("/api/tickets/book", "b", &book).await.expect(202).json();
    assert_eq!(one["booking_id"], two["booking_id"]);
}

/// A key is compared before anything else, also before anybody asks who may enter.
#[tokio::test]
async fn a_lock_is_answered_again_after_its_slot_ended() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 9 })).await;
    let login = fixture.login(Role::User).await;
    let lock = |key: &str, seat: u32| {
        let body = json!({ "event_id": event, "seat_number": seat });
        keyed(fixture.request("POST", "/api/tickets/lock").login(&login).json(&body), key).send()
    };
    let first = lock("k", 1).await.expect(200);
    let pass = first.header("admission-pass").unwrap().to_owned();
    // The first answer may have been lost, and the pass with it.
    assert!(lock("k", 1).await.expect(200).header("admission-pass").is_some());
    let leave = fixture.request("DELETE", &format!("/api/queue/{event}/me"));
    leave.header("admission-pass", &pass).send().await.expect(204);
    let admin = fixture.login(Role::Admin).await;
    let closed = json!({ "state": "closed" });
    let steer = fixture.request("PATCH", &format!("/api/events/{event}/queue")).login(&admin);
    steer.json(&closed).send().await.expect(200);

    assert_eq!(lock("other", 2).await.refusal(), (409, "queue_closed".into()));
    let again = lock("k", 1).await.expect(200).json();
    assert_eq!(again["hold_id"], first.json()["hold_id"]);
    assert_eq!(lock("k", 2).await.refusal(), (422, "idempotency_mismatch".into()));
    let hold = format!("/api/tickets/lock/{}", again["hold_id"].as_str().unwrap());
    fixture.request("DELETE", &hold).login(&login).send().await.expect(204);
    assert_eq!(lock("k", 1).await.refusal(), (410, "hold_expired".into()));
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let fixture = Fixture::open().await;
    let (event, login) =
        (fixture.event(json!({ "total_seats": 1 })).await, fixture.login(Role::User).await);
    let lock = json!({ "event_id": event, "seat_number": 1 });
    for key in ["a b", "\"\"", &"x".repeat(256)] {
        let request = fixture.request("POST", "/api/tickets/lock").login(&login).json(&lock);
        let refused = keyed(request, key).send().await;
        assert_eq!(refused.refusal(), (400, "malformed".into()), "{key}");
    }
    let request = fixture.request("POST", "/api/tickets/lock").login(&login).json(&lock);
    let refused = keyed(keyed(request, "a"), "b").send().await;
    assert_eq!(refused.refusal(), (400, "malformed".into()));
}

#[tokio::test]
async fn a_request_that_runs_is_not_begun_again() {
    let fixture = Fixture::open().await;
    let (account, login) = fixture.account(Role::Admin).await;
    let form = json!({ "name": "N", "date": "2030-05-01", "venue": "V", "total_seats": 1 });
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form.to_string().as_bytes());
    let key = RequestKey {
        account: account.as_str().to_owned(),
        route: "POST /api/events".into(),
        key: "k".into(),
    };
    let hash = digest.as_ref().try_into().unwrap();
    fixture.ledger.books.requests.begin(&key, hash, fixture.clock.now()).await.unwrap();
    let request = fixture.request("POST", "/api/events").login(&login).json(&form);
    let running = keyed(request, "k").send().await;
    assert_eq!(running.refusal(), (409, "idempotency_running".into()));
}

/// "Not yet" is no answer to keep: under the same key the truth is told when it has changed.
#[tokio::test]
async fn what_had_no_effect_and_may_change_is_not_kept() {
    let fixture = Fixture::open().await;
    let paused = json!({ "total_seats": 1, "queue": { "state": "paused" } });
    let event = fixture.event(paused).await;
    let (admin, login) = (fixture.login(Role::Admin).await, fixture.login(Role::User).await);
    let steer = |state: &'static str| {
        let request = fixture.request("PATCH", &format!("/api/events/{event}/queue"));
        request.login(&admin).json(&json!({ "state": state })).send()
    };
    let queue = format!("/api/queue/{event}");
    let joined = fixture.request("POST", &format!("{queue}/join")).send().await.expect(201).json();
    let token = joined["token"].as_str().unwrap();
    let claim = || {
        let request = fixture.request("POST", &format!("{queue}/pass")).login(&login);
        keyed(request.header("queue-token", token), "claim").send()
    };
    claim().await.expect(202);
    steer("open").await.expect(200);
    let pass = loop {
        let answer = claim().await;
        if answer.status != 202 {
            break answer.expect(200);
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(claim().await.expect(200).json()["pass"], pass.json()["pass"]);

    let other = fixture.login(Role::User).await;
    let join = || {
        let request = fixture.request("POST", &format!("{queue}/join")).login(&other);
        keyed(request, "join").send()
    };
    steer("closed").await.expect(200);
    assert_eq!(join().await.refusal(), (409, "queue_closed".into()));
    steer("open").await.expect(200);
    let first = join().await.expect(201);
    same(&first, &join().await);
}
