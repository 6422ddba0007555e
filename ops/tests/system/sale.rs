//! The sale as its visitors see it, from the first join to the gate.
use crate::harness::{Client, Node, assert_audit_holds, assert_queue_audit_holds, mint, verb};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

pub(crate) fn plain_event(seats: u32) -> Value {
    json!({"name": "Night", "date": "2030-01-01", "venue": "Hall", "total_seats": seats})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_buyers_for_fifty_seats_end_with_fifty_sold() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &["--no-limits"]).await;
    let visitor = node.client();
    let event = visitor.event(plain_event(50)).await;
    let tokens = mint(folder.path(), 200).await;
    buy_each_seat_four_times(&visitor, &event, &tokens, 50).await;
    assert!(node.stop().await.success());
    assert_audit_holds(folder.path()).await;
}

/// Four rivals for each seat, one of whom gets it.
pub(crate) async fn buy_each_seat_four_times(
    visitor: &Client,
    event: &str,
    tokens: &[String],
    seats: usize,
) {
    assert_eq!(tokens.len(), 4 * seats);
    let mut buyers = JoinSet::new();
    for (n, token) in tokens.iter().enumerate() {
        let (client, event) = (visitor.logged_in(token), event.to_owned());
        buyers.spawn(async move {
            let body = json!({"event_id": event, "seat_number": n % seats + 1});
            let lock = client.post("/api/tickets/lock", body.clone()).await;
            if lock.status == 409 {
                let problem = lock.json();
                assert_eq!(problem["code"], "seat_taken");
                assert_eq!(problem["error"], "Seat already locked!");
                return "refused".to_owned();
            }
            lock.expect(200);
            let booked = client.post("/api/tickets/book", body).await.expect(202);
            let booking = client.settled(booked["booking_id"].as_str().unwrap()).await;
            booking["status"].as_str().unwrap().to_owned()
        });
    }
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(end) = buyers.join_next().await {
        *ends.entry(end.unwrap()).or_default() += 1;
    }
    assert_eq!(ends, BTreeMap::from([("confirmed".into(), seats), ("refused".into(), 3 * seats)]));
}

#[tokio::test]
async fn a_client_that_knows_only_the_seeds_routes_buys_a_ticket() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &[]).await;
    let visitor = node.client();
    let admin = visitor.as_admin().await;
    let event = admin.post("/api/events", plain_event(10)).await.expect(201);
    let id = event["id"].as_str().unwrap();

    let account = json!({"username": "ada", "password": "correct horse"});
    let registered = visitor.post("/api/auth/register", account.clone()).await.expect(201);
    let login = visitor.post("/api/auth/login", account).await.expect(200);
    let ada = visitor.logged_in(login["token"].as_str().unwrap());
    let wish = json!({"eventId": id, "seatNumber": 7, "userId": registered["user_id"]});
    let locked = ada.post("/api/tickets/lock", wish.clone()).await;
    assert!(locked.header("admission-pass").is_some());
    locked.expect(200);
    let booked = ada.post("/api/tickets/book", wish).await.expect(202);
    let booking = ada.settled(booked["booking_id"].as_str().unwrap()).await;
    assert_eq!(booking["status"], "confirmed");
    assert_eq!(booking["total"], json!({"minor": 4500, "currency": "EUR"}));

    let eve = visitor.register("eve").await;
    let stolen = json!({"eventId": id, "seatNumber": 8, "userId": registered["user_id"]});
    let problem = eve.post("/api/tickets/lock", stolen).await.expect(403);
    assert_eq!(problem["code"], "user_mismatch");
    assert!(node.stop().await.success());
    assert_audit_holds(folder.path()).await;
}

#[tokio::test]
async fn declines_give_the_seats_back_and_the_third_frees_them() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &[]).await;
    let visitor = node.client();
    let event = visitor.event(plain_event(4)).await;
    let ada = visitor.register("ada").await;
    let best = json!({"event_id": event, "best_available": {"quantity": 2}});
    let hold = ada.post("/api/tickets/lock", best).await.expect(200);
    let hold = hold["hold_id"].clone();
    let book = |token: &str| json!({"event_id": event, "hold_id": hold, "payment_token": token});

    let mut bookings = Vec::new();
    for attempt in 1..=3 {
        let booked = ada.post("/api/tickets/book", book("tok_decline")).await.expect(202);
        let booking = ada.settled(booked["booking_id"].as_str().unwrap()).await;
        assert_eq!(booking["status"], "declined", "{booking}");
        assert_eq!(booking["hold"].is_null(), attempt == 3, "{booking}");
        bookings.push(booking["id"].clone());
    }
    bookings.dedup();
    assert_eq!(bookings.len(), 3, "each attempt is a booking of its own");
    let problem = ada.post("/api/tickets/book", book("tok_good")).await.expect(410);
    assert_eq!(problem["code"], "hold_expired");

    let again = json!({"event_id": event, "best_available": {"quantity": 2}});
    let hold = ada.post("/api/tickets/lock", again).await.expect(200)["hold_id"].clone();
    let book = json!({"event_id": event, "hold_id": hold, "payment_token": "tok_unknown"});
    let booked = ada.post("/api/tickets/book", book).await.expect(202);
    let booking = ada.settled(booked["booking_id"].as_str().unwrap()).await;
    assert_eq!(booking["status"], "confirmed", "an unknown outcome is asked for again");
    assert!(node.stop().await.success());
    assert_audit_holds(folder.path()).await;
}

#[tokio::test]
async fn a_cancelled_booking_is_refunded_and_its_ticket_is_void() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &["--no-limits"]).await;
    let visitor = node.client();
    let event = visitor.event(plain_event(4)).await;
    let ada = visitor.register("ada").await;
    visitor.register("gate").await;
    let done = verb(folder.path(), &["account", "role", "gate", "gate"]).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let gate = visitor.login("gate", "correct horse").await;

    let mut tickets = Vec::new();
    for seat in [1, 2] {
        let wish = json!({"event_id": event, "seat_number": seat});
        ada.post("/api/tickets/lock", wish.clone()).await.expect(200);
        let booked = ada.post("/api/tickets/book", wish).await.expect(202);
        let booking = ada.settled(booked["booking_id"].as_str().unwrap()).await;
        let ticket = booking["tickets"][0]["ticket_id"].as_str().expect("a ticket").to_owned();
        let ticket = ada.get(&format!("/api/tickets/{ticket}")).await.expect(200);
        tickets.push((booking["id"].as_str().unwrap().to_owned(), ticket["ticket"].clone()));
    }
    let scan = |ticket: &Value| gate_scan(&gate, ticket.clone());
    assert_eq!(scan(&tickets[0].1).await, "valid");
    assert_eq!(scan(&tickets[0].1).await, "used");

    let cancel = format!("/api/bookings/{}/cancel", tickets[1].0);
    visitor.register("eve").await.post(&cancel, json!({})).await.expect(404);
    ada.post(&cancel, json!({})).await.expect(202);
    let path = format!("/api/bookings/{}?wait=20", tickets[1].0);
    let refunded = loop {
        let booking = ada.get(&path).await.expect(200);
        if booking["status"] == "refunded" {
            break booking;
        }
    };
    assert_eq!(refunded["refunds"][0]["amount"]["minor"], 4500);
    assert_eq!(scan(&tickets[1].1).await, "void");

    let eve = visitor.login("eve", "correct horse").await;
    let lock = || eve.post("/api/tickets/lock", json!({"event_id": event, "seat_number": 2}));
    // The outcome frees the seat; the applier may still be on its way.
    while lock().await.status == 409 {}
    lock().await.expect(200);
    assert!(node.stop().await.success());
    assert_audit_holds(folder.path()).await;
}

async fn gate_scan(gate: &Client, ticket: Value) -> String {
    let answer = gate.post("/api/tickets/verify", json!({"ticket": ticket})).await.expect(200);
    answer["result"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_crowd_waits_its_turn_and_passes_verify_from_the_published_keys() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &["--no-limits"]).await;
    let visitor = node.client();
    let admin = visitor.as_admin().await;
    let mut body = plain_event(10);
    body["queue"] = json!({"state": "paused", "rate_per_minute": 60_000, "capacity": 1});
    let event = visitor.event(body).await;
    let queue = format!("/api/queue/{event}");
    let (ada, bob) = (visitor.register("ada").await, visitor.register("bob").await);

    let refused = ada.post("/api/tickets/lock", json!({"event_id": event, "seat_number": 1})).await;
    let problem = refused.expect(403);
    assert_eq!(problem["code"], "queue_required");
    let first = ada.post(&format!("{queue}/join"), json!({})).await.expect(201);
    let second = bob.post(&format!("{queue}/join"), json!({})).await.expect(201);
    assert!(first["number"].as_u64() < second["number"].as_u64());
    let ada = ada.with("queue-token", first["token"].as_str().unwrap());
    let bob = bob.with("queue-token", second["token"].as_str().unwrap());
    let again = ada.post(&format!("{queue}/join"), json!({})).await.expect(200);
    assert_eq!(again["number"], first["number"]);
    let me = ada.get(&format!("{queue}/me")).await.expect(200);
    assert_eq!((&me["state"], &me["paused"]), (&json!("waiting"), &json!(true)));

    let open = json!({"state": "open"});
    admin.patch(&format!("/api/events/{event}/queue"), open).await.expect(200);
    let pass = granted(&ada, &queue).await;
    let not_yet = bob.post(&format!("{queue}/pass"), json!({})).await;
    not_yet.expect(202);
    let shared =
        visitor.register("eve").await.with("queue-token", first["token"].as_str().unwrap());
    let problem = shared.post(&format!("{queue}/pass"), json!({})).await.expect(409);
    assert_eq!(problem["code"], "token_used");

    let claims = verified_elsewhere(&visitor, &pass, &event).await;
    assert_eq!(claims["number"], first["number"]);
    let seat = json!({"event_id": event, "seat_number": 3});
    ada.with("admission-pass", &pass).post("/api/tickets/lock", seat.clone()).await.expect(200);
    let foreign = bob.with("admission-pass", &pass).post("/api/tickets/lock", seat).await;
    assert_eq!(foreign.expect(403)["code"], "pass_invalid");

    assert_eq!(ada.delete(&format!("{queue}/me")).await.status, 204);
    granted(&bob, &queue).await;
    let closed = json!({"state": "closed"});
    admin.patch(&format!("/api/events/{event}/queue"), closed).await.expect(200);
    let problem = visitor.post(&format!("{queue}/join"), json!({})).await.expect(409);
    assert_eq!(problem["code"], "queue_closed");
    assert!(node.stop().await.success());
    assert_queue_audit_holds(folder.path()).await;
}

/// Claims until the pass is granted, by the public board's changes.
async fn granted(client: &Client, queue: &str) -> String {
    loop {
        let answer = client.post(&format!("{queue}/pass"), json!({})).await;
        if answer.status == 200 {
            return answer.json()["pass"].as_str().unwrap().to_owned();
        }
        answer.expect(202);
    }
}

/// Verifies a pass as a third party would: with a JWT library and the JWK set alone.
async fn verified_elsewhere(visitor: &Client, pass: &str, queue: &str) -> Value {
    let keys = visitor.get("/.well-known/jwks.json").await.expect(200);
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys).unwrap();
    let header = jsonwebtoken::decode_header(pass).unwrap();
    assert_eq!(header.typ.as_deref(), Some("admission+jwt"));
    let key = keys.find(header.kid.as_deref().unwrap()).expect("the key is published");
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    rules.set_audience(&[queue]);
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    jsonwebtoken::decode::<Value>(pass, &key, &rules).unwrap().claims
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_one_effect() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &[]).await;
    let visitor = node.client();
    let event = visitor.event(plain_event(10)).await;
    let ada = visitor.register("ada").await.with("idempotency-key", "\"once\"");
    let best = json!({"event_id": event, "best_available": {"quantity": 1}});
    let first = ada.post("/api/tickets/lock", best.clone()).await.expect(200);
    let second = ada.post("/api/tickets/lock", best).await.expect(200);
    assert_eq!(first["hold_id"], second["hold_id"]);
    let other = json!({"event_id": event, "best_available": {"quantity": 2}});
    let problem = ada.post("/api/tickets/lock", other).await.expect(422);
    assert_eq!(problem["code"], "idempotency_mismatch");
    let join = format!("/api/queue/{event}/join");
    let place = ada.post(&join, json!({})).await.expect(201);
    assert_eq!(ada.post(&join, json!({})).await.expect(201)["number"], place["number"]);

    let admin = visitor.as_admin().await.with("idempotency-key", "event-1");
    let made = admin.post("/api/events", plain_event(3)).await.expect(201);
    assert_eq!(admin.post("/api/events", plain_event(3)).await.expect(201)["id"], made["id"]);
    let listed = visitor.get("/api/events").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert!(node.stop().await.success());
}

#[tokio::test]
async fn the_document_lists_the_routes_that_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &[]).await;
    let visitor = node.client();
    let document = visitor.get("/openapi.json").await.expect(200);
    assert_eq!(
        document["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(),
        ["3", "1"]
    );
    let printed = verb(folder.path(), &["openapi"]).await;
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), document);
    for (path, operations) in document["paths"].as_object().unwrap() {
        let address = path.replace(['{', '}'], "");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let listed = operations.get(method.as_str().to_lowercase()).is_some();
            let answer = visitor.try_send(method.clone(), &address, None).await.unwrap();
            assert_eq!(answer.status != 405, listed, "{method} {path}: {}", answer.status);
        }
    }
    assert!(node.stop().await.success());
}
