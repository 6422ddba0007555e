//! Events, their layouts and seat maps, and the steering of their queues.
use crate::fixture::Fixture;
use ledger::Role;
use serde_json::{Value, json};

fn hall() -> Value {
    json!({
        "timezone": "Europe/Vienna",
        "sections": [
            { "id": "stalls", "name": "Stalls", "price": { "minor": 9_000, "currency": "EUR" },
              "rows": [{ "name": "A", "seats": ["1", null, "2"] }, { "name": "B", "seats": 2 }] },
            { "id": "floor", "name": "Floor", "price": { "minor": 2_000, "currency": "EUR" },
              "capacity": 3 },
        ],
    })
}

#[tokio::test]
async fn the_oldest_clients_can_make_and_list_events() {
    let fixture = Fixture::open().await;
    let admin = fixture.login(Role::Admin).await;
    let form = json!({ "name": "Night", "date": "2030-05-01", "venue": "Hall", "total_seats": 50 });
    let made = fixture.post("/api/events", &admin, &form).await.expect(201);
    let event = made.json();
    let address = format!("/api/events/{}", event["id"].as_str().unwrap());
    assert_eq!(made.header("location"), Some(address.as_str()));
    for (field, expected) in [
        ("total_seats", json!(50)),
        ("available_seats", json!(50)),
        ("price_from", json!({ "minor": 4_500, "currency": "EUR" })),
        ("status", json!("on_sale")),
        ("queue_state", json!("open")),
        ("queue_id", event["id"].clone()),
        ("date", json!("2030-05-01")),
        ("timezone", json!("UTC")),
    ] {
        assert_eq!(event[field], expected, "{field}");
    }
    let listed = fixture.get("/api/events").await.expect(200).json();
    assert_eq!(listed["items"][0]["id"], event["id"]);
    assert_eq!(fixture.get(&address).await.expect(200).json()["id"], event["id"]);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let fixture = Fixture::open().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(fixture.event(json!({ "total_seats": 1 })).await);
    }
    let first = fixture.get("/api/events?limit=2").await.expect(200).json();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest =
        fixture.get(&format!("/api/events?limit=2&cursor={cursor}")).await.expect(200).json();
    assert_eq!(rest["items"][0]["id"], made[2].as_str());
    assert!(rest["next_cursor"].is_null());
    for (query, field) in [("limit=0", "limit"), ("limit=201", "limit")] {
        assert_eq!(fixture.get(&format!("/api/events?{query}")).await.fields(), [field]);
    }
    fixture.get("/api/events?limit=1&utm_source=mail&page=2").await.expect(200);
    let twice = fixture.get("/api/events?limit=1&limit=2").await;
    assert_eq!(twice.refusal(), (400, "malformed".into()));
}

#[tokio::test]
async fn a_layout_is_immutable_under_its_version() {
    let fixture = Fixture::open().await;
    let event = fixture.event(hall()).await;
    let path = format!("/api/events/{event}/layout");
    let layout = fixture.get(&path).await.expect(200);
    let sections = &layout.json()["sections"];
    assert_eq!(sections[0]["rows"][0]["seats"][0]["id"], "stalls-A-1");
    assert!(sections[0]["rows"][0]["seats"][1].is_null(), "an aisle");
    assert_eq!(sections[0]["rows"][1]["seats"][1]["label"], "B-2");
    assert_eq!(sections[1]["capacity"], 3);
    assert_eq!(layout.header("cache-control"), Some("public, max-age=1"));
    let pinned = fixture.get(&format!("{path}?v=1")).await.expect(200);
    assert!(pinned.header("cache-control").unwrap().contains("immutable"));
    let stale = fixture.get(&format!("{path}?v=2")).await.expect(200);
    assert!(!stale.header("cache-control").unwrap().contains("immutable"));
    let etag = layout.header("etag").unwrap();
    let same = fixture.request("GET", &path).header("if-none-match", etag).send().await.expect(304);
    assert!(same.body.is_empty());
    assert_eq!(fixture.get(&format!("{path}?v=x")).await.fields(), ["v"]);
}

#[tokio::test]
async fn the_seat_map_follows_locks() {
    let fixture = Fixture::open().await;
    let event = fixture.event(hall()).await;
    let path = format!("/api/events/{event}/seats");
    let before = fixture.get(&path).await.expect(200);
    assert_eq!(before.json()["sections"], json!({ "stalls": "....", "floor": 3 }));
    let etag = before.header("etag").unwrap();
    fixture.request("GET", &path).header("if-none-match", etag).send().await.expect(304);
    let login = fixture.login(Role::User).await;
    let lock = json!({ "event_id": event, "seat_number": "B-1" });
    fixture.post("/api/tickets/lock", &login, &lock).await.expect(200);
    let seats = loop {
        let after = fixture.request("GET", &path).header("if-none-match", etag).send().await;
        if after.status == 200 {
            break after.json();
        }
    };
    assert_eq!(seats["sections"]["stalls"], "..h.");
    let shown = fixture.get(&format!("/api/events/{event}")).await.expect(200).json();
    assert_eq!(shown["available_seats"], 6);
}

#[tokio::test]
async fn unknown_events_are_not_found() {
    let fixture = Fixture::open().await;
    let login = fixture.login(Role::User).await;
    let admin = fixture.login(Role::Admin).await;
    for path in ["evt_none", "evt_none/layout", "evt_none/seats", "a%2Fb", "%00", "%"] {
        let answer = fixture.get(&format!("/api/events/{path}")).await;
        assert_eq!(answer.refusal(), (404, "not_found".into()), "{path}");
    }
    let body = json!({ "event_id": "evt_none", "seat_number": 1 });
    for path in ["/api/tickets/lock", "/api/tickets/book"] {
        let answer = fixture.post(path, &login, &body).await;
        assert_eq!(answer.refusal(), (404, "not_found".into()), "{path}");
    }
    let patch = fixture.request("PATCH", "/api/events/evt_none/queue").login(&admin);
    assert_eq!(patch.json(&json!({})).send().await.refusal(), (404, "not_found".into()));
}

#[tokio::test]
async fn queues_are_steered_and_shared() {
    let fixture = Fixture::open().await;
    let admin = fixture.login(Role::Admin).await;
    let queue = json!({ "rate_per_minute": 600, "capacity": 5, "state": "paused" });
    let first = fixture.event(json!({ "total_seats": 1, "queue": queue })).await;
    let second = fixture.event(json!({ "total_seats": 1, "queue_id": first })).await;
    let shown = fixture.get(&format!("/api/events/{second}")).await.json();
    assert_eq!((&shown["queue_id"], &shown["queue_state"]), (&json!(first), &json!("paused")));

    let path = format!("/api/events/{second}/queue");
    let patch = |body: Value| fixture.request("PATCH", &path).login(&admin).json(&body).send();
    let changed = patch(json!({ "state": "open", "sessionSeconds": 60 })).await.expect(200).json();
    assert_eq!(changed["queue_id"], first.as_str());
    assert_eq!((&changed["state"], &changed["capacity"]), (&json!("open"), &json!(5)));
    assert_eq!(changed["session_seconds"], 60);
    for (body, field) in [
        (json!({ "state": "ajar" }), "state"),
        (json!({ "rate_per_minute": -1 }), "rate_per_minute"),
        (json!({ "capacity": 1.5 }), "capacity"),
        (json!({ "order": "random" }), "order"),
    ] {
        assert_eq!(patch(body).await.fields(), [field]);
    }
    let missing = json!({ "name": "N", "date": "2030-05-01", "venue": "V", "total_seats": 1,
        "queue_id": "evt_none" });
    assert_eq!(fixture.post("/api/events", &admin, &missing).await.fields(), ["queue_id"]);
}
