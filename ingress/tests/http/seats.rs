//! Locking seats, straight through while nobody waits.
use crate::fixture::Fixture;
use ledger::Role;
use serde_json::json;

#[tokio::test]
async fn the_oldest_clients_lock_seats() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 3 })).await;
    let (alice, login) = fixture.account(Role::User).await;
    let lock = json!({ "eventId": event, "seatNumber": 2, "userId": alice.as_str() });
    let held = fixture.post("/api/tickets/lock", &login, &lock).await.expect(200);
    assert_eq!(held.json()["message"], "Seat locked successfully!");
    assert_eq!(held.json()["seats"], json!(["main-A-2"]));
    assert_eq!(held.json()["total"], json!({ "minor": 4_500, "currency": "EUR" }));
    assert!((1..=300).contains(&held.json()["expires_in"].as_i64().unwrap()));
    assert!(held.header("admission-pass").is_some(), "admitted on the spot");

    let again = fixture.post("/api/tickets/lock", &login, &lock).await.expect(200);
    assert_eq!(again.json()["hold_id"], held.json()["hold_id"], "one's own seats again");

    let (bob, other) = fixture.account(Role::User).await;
    let lock = json!({ "eventId": event, "seatNumber": 2, "userId": bob.as_str() });
    let taken = fixture.post("/api/tickets/lock", &other, &lock).await;
    assert_eq!(taken.refusal(), (409, "seat_taken".into()));
    assert_eq!(taken.json()["error"], "Seat already locked!");
    assert!(taken.header("admission-pass").is_some(), "the pass is kept all the same");

    let posing = json!({ "eventId": event, "seatNumber": 3, "userId": alice.as_str() });
    let refused = fixture.post("/api/tickets/lock", &other, &posing).await;
    assert_eq!(refused.refusal(), (403, "user_mismatch".into()));
    let anonymous = fixture.request("POST", "/api/tickets/lock").json(&lock).send().await;
    assert_eq!(anonymous.refusal(), (401, "unauthenticated".into()));
}

#[tokio::test]
async fn parties_sit_together_or_not_at_all() {
    let fixture = Fixture::open().await;
    let sections = json!([
        { "id": "stalls", "name": "Stalls", "rows": [{ "name": "A", "seats": 4 }] },
        { "id": "floor", "name": "Floor", "capacity": 2 },
    ]);
    let event = fixture.event(json!({ "sections": sections })).await;
    let login = fixture.login(Role::User).await;
    let lock = |body| fixture.post("/api/tickets/lock", &login, body);
    let pair = json!({ "event_id": event, "seats": ["A-1", "stalls-A-3"] });
    let held = lock(&pair).await.expect(200).json();
    assert_eq!(held["seats"], json!(["stalls-A-1", "stalls-A-3"]));
    assert_eq!(held["total"]["minor"], 9_000);

    let best = json!({ "event_id": event, "best_available": { "quantity": 2, "section": "floor" }});
    let floor = lock(&best).await.expect(200).json();
    assert_eq!(floor["seats"], json!([]), "general admission has no seats");
    assert_eq!(floor["items"].as_array().unwrap().len(), 2);
    assert!(floor["items"][0]["seat"].is_null());

    let other = fixture.login(Role::User).await;
    let together = json!({ "event_id": event, "best_available": { "quantity": 2 } });
    let none = fixture.post("/api/tickets/lock", &other, &together).await;
    assert_eq!(none.refusal(), (409, "no_adjacent_seats".into()), "A-2 and A-4 are apart");
    let problem = none.json();
    assert_eq!((&problem["seats_free"], &problem["largest_group"]), (&json!(2), &json!(1)));
    let apart = json!({ "quantity": 2, "together": false });
    let apart = json!({ "event_id": event, "best_available": apart });
    let apart = fixture.post("/api/tickets/lock", &other, &apart).await.expect(200).json();
    assert_eq!(apart["seats"], json!(["stalls-A-2", "stalls-A-4"]));
    let hold = format!("/api/tickets/lock/{}", apart["hold_id"].as_str().unwrap());
    fixture.request("DELETE", &hold).login(&other).send().await.expect(204);
    let many = json!({ "event_id": event, "best_available": { "quantity": 21 } });
    let many = fixture.post("/api/tickets/lock", &other, &many).await;
    assert_eq!(many.fields(), ["seats"], "one lock takes at most 20, whatever the account may");
    let one = json!({ "event_id": event, "seats": ["A-2", "A-3"] });
    let taken = fixture.post("/api/tickets/lock", &other, &one).await;
    assert_eq!(taken.refusal(), (409, "seat_taken".into()));
    let free = json!({ "event_id": event, "seat_number": "A-2" });
    fixture.post("/api/tickets/lock", &other, &free).await.expect(200);
}

#[tokio::test]
async fn one_account_has_only_so_many() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 5, "seats_per_account_max": 2 })).await;
    let login = fixture.login(Role::User).await;
    let many = json!({ "event_id": event, "seats": [1, 2, 3] });
    let refused = fixture.post("/api/tickets/lock", &login, &many).await;
    assert_eq!(refused.refusal(), (409, "seats_cap".into()));
}

#[tokio::test]
async fn holds_are_listed_and_let_go_by_their_holder() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 2 })).await;
    let [login, other] = [fixture.login(Role::User).await, fixture.login(Role::User).await];
    let lock = json!({ "event_id": event, "seat_number": "1" });
    let hold = fixture.post("/api/tickets/lock", &login, &lock).await.expect(200).json();
    let mine = format!("/api/tickets/lock?event_id={event}");
    let listed = fixture.request("GET", &mine).login(&login).send().await.expect(200).json();
    assert_eq!(listed["items"][0]["hold_id"], hold["hold_id"]);
    let theirs = fixture.request("GET", &mine).login(&other).send().await.expect(200).json();
    assert_eq!(theirs["items"], json!([]));
    let bare = fixture.request("GET", "/api/tickets/lock").login(&login).send().await;
    assert_eq!(bare.fields(), ["event_id"]);

    let path = format!("/api/tickets/lock/{}", hold["hold_id"].as_str().unwrap());
    let admin = fixture.login(Role::Admin).await;
    for stranger in [&other, &admin] {
        let refused = fixture.request("DELETE", &path).login(stranger).send().await;
        assert_eq!(refused.refusal(), (403, "not_holder".into()));
    }
    assert_eq!(fixture.request("DELETE", &path).send().await.status, 401);
    fixture.request("DELETE", &path).login(&login).send().await.expect(204);
    let gone = fixture.request("DELETE", &path).login(&login).send().await;
    assert_eq!(gone.refusal(), (404, "not_found".into()));
    fixture.post("/api/tickets/lock", &other, &lock).await.expect(200);
}

#[tokio::test]
async fn wishes_are_refused_before_anybody_is_admitted() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 2 })).await;
    let login = fixture.login(Role::User).await;
    for (body, field) in [
        (json!({ "event_id": event }), "seat_number"),
        (json!({ "event_id": event, "seat_number": 3 }), "seat_number"),
        (json!({ "event_id": event, "seats": ["1", 1] }), "seats[1]"),
        (json!({ "event_id": event, "seat_number": 1, "price": 1 }), "price"),
        (json!({ "event_id": event, "seat_number": 1, "total": { "minor": 0 } }), "total"),
        (json!({ "event_id": 5, "seat_number": 1 }), "event_id"),
    ] {
        let answer = fixture.post("/api/tickets/lock", &login, &body).await;
        assert!(answer.header("admission-pass").is_none());
        assert_eq!(answer.fields(), [field], "{body}");
    }
}
