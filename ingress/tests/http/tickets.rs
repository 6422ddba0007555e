//! Tickets and the gate.
use crate::fixture::{Fixture, Pay};
use ledger::{Role, TicketId};
use serde_json::{Value, json};

struct Bought {
    fixture: Fixture,
    login: String,
    booking: String,
    ticket: String,
}

async fn bought() -> Bought {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 1 })).await;
    let login = fixture.login(Role::User).await;
    let seat = json!({ "event_id": event, "seat_number": 1 });
    fixture.post("/api/tickets/lock", &login, &seat).await.expect(200);
    let booked = fixture.post("/api/tickets/book", &login, &seat).await.expect(202).json();
    fixture.pay(Pay::Yes).await;
    let path = format!("{}?wait=20", booked["status_url"].as_str().unwrap());
    let shown = loop {
        let shown = fixture.request("GET", &path).login(&login).send().await.expect(200).json();
        if shown["status"] == "confirmed" {
            break shown;
        }
    };
    let ticket = shown["tickets"][0]["ticket_id"].as_str().unwrap().to_owned();
    let booking = shown["id"].as_str().unwrap().to_owned();
    Bought { fixture, login, booking, ticket }
}

impl Bought {
    async fn shown(&self) -> Value {
        let path = format!("/api/tickets/{}", self.ticket);
        self.fixture.request("GET", &path).login(&self.login).send().await.expect(200).json()
    }

    async fn scan(&self, gate: &str, signed: &str) -> Value {
        let body = json!({ "ticket": signed });
        self.fixture.post("/api/tickets/verify", gate, &body).await.expect(200).json()
    }
}

#[tokio::test]
async fn a_ticket_is_used_once() {
    let bought = bought().await;
    let ticket = bought.shown().await;
    assert_eq!((&ticket["status"], &ticket["seat"]), (&json!("valid"), &json!("main-A-1")));
    let signed = ticket["ticket"].as_str().unwrap();
    let gate = bought.fixture.login(Role::Gate).await;
    let first = bought.scan(&gate, signed).await;
    assert_eq!((&first["result"], &first["seat"]), (&json!("valid"), &json!("main-A-1")));
    let second = bought.scan(&gate, signed).await;
    assert_eq!(second["result"], "used");
    assert!(second["used_at"].is_string());
    assert_eq!(bought.shown().await["status"], "used");
}

#[tokio::test]
async fn a_scan_whose_answer_was_lost_is_valid_again_under_its_key() {
    let bought = bought().await;
    let signed = bought.shown().await["ticket"].as_str().unwrap().to_owned();
    let gate = bought.fixture.login(Role::Gate).await;
    let scan = || {
        let request = bought.fixture.request("POST", "/api/tickets/verify").login(&gate);
        request.header("idempotency-key", "scan-1").json(&json!({ "ticket": signed })).send()
    };
    let first = scan().await.expect(200).json();
    assert_eq!(first["result"], "valid");
    assert_eq!(scan().await.expect(200).json(), first);
}

#[tokio::test]
async fn a_ticket_of_another_event_is_not_used_up() {
    let bought = bought().await;
    let signed = bought.shown().await["ticket"].as_str().unwrap().to_owned();
    let gate = bought.fixture.login(Role::Gate).await;
    let scan = async |event: &str| {
        let body = json!({ "ticket": signed, "event_id": event, "gate": "North" });
        let scanned = bought.fixture.post("/api/tickets/verify", &gate, &body).await;
        scanned.expect(200).json()["result"].clone()
    };
    let event = bought.shown().await["event_id"].as_str().unwrap().to_owned();
    assert_eq!(scan("evt_other").await, "wrong_event");
    assert_eq!(bought.shown().await["status"], "valid");
    assert_eq!(scan(&event).await, "valid");
    assert_eq!(scan("evt_other").await, "wrong_event");
    assert_eq!(scan(&event).await, "used");
}

#[tokio::test]
async fn an_admin_takes_a_scan_back() {
    let bought = bought().await;
    let signed = bought.shown().await["ticket"].as_str().unwrap().to_owned();
    let gate = bought.fixture.login(Role::Gate).await;
    let admin = bought.fixture.login(Role::Admin).await;
    let path = format!("/api/tickets/{}/unscan", bought.ticket);
    let reason = json!({ "reason": "came in by the wrong door" });
    let refused = bought.fixture.post(&path, &admin, &reason).await;
    assert_eq!(refused.refusal(), (409, "ticket_not_used".into()));
    assert_eq!(bought.scan(&gate, &signed).await["result"], "valid");
    for login in [&gate, &bought.login] {
        let refused = bought.fixture.post(&path, login, &reason).await;
        assert_eq!(refused.refusal(), (403, "forbidden".into()));
    }
    assert_eq!(bought.fixture.post(&path, &admin, &json!({})).await.fields(), ["reason"]);
    let back = bought.fixture.post(&path, &admin, &reason).await.expect(200).json();
    assert_eq!(back["status"], "valid");
    assert_eq!(back["trail"][0]["action"], "scan");
    assert_eq!(back["trail"][1]["reason"], reason["reason"]);
    assert_eq!(bought.scan(&gate, &signed).await["result"], "valid");
    let unknown = bought.fixture.post("/api/tickets/tkt_none/unscan", &admin, &reason).await;
    assert_eq!(unknown.refusal(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_cancelled_ticket_is_void() {
    let bought = bought().await;
    let signed = bought.shown().await["ticket"].as_str().unwrap().to_owned();
    let path = format!("/api/bookings/{}/cancel", bought.booking);
    bought.fixture.request("POST", &path).login(&bought.login).send().await.expect(202);
    bought.fixture.pay(Pay::Yes).await;
    let ticket = bought.shown().await;
    assert_eq!(ticket["status"], "void");
    assert!(ticket["ticket"].is_null());
    let picture = format!("/api/tickets/{}.svg", bought.ticket);
    let gone = bought.fixture.request("GET", &picture).login(&bought.login).send().await;
    assert_eq!(gone.refusal(), (404, "not_found".into()));
    let gate = bought.fixture.login(Role::Gate).await;
    assert_eq!(bought.scan(&gate, &signed).await["result"], "void");
}

#[tokio::test]
async fn pictures_and_tickets_are_their_owners() {
    let bought = bought().await;
    let [other, gate, admin] = [
        bought.fixture.login(Role::User).await,
        bought.fixture.login(Role::Gate).await,
        bought.fixture.login(Role::Admin).await,
    ];
    for (suffix, media) in
        [("", "application/json"), (".svg", "image/svg+xml"), (".png", "image/png")]
    {
        let path = format!("/api/tickets/{}{suffix}", bought.ticket);
        for login in [&bought.login, &admin] {
            let shown = bought.fixture.request("GET", &path).login(login).send().await.expect(200);
            assert_eq!(shown.header("content-type"), Some(media));
            assert_eq!(shown.header("cache-control"), Some("no-store"));
        }
        for stranger in [&other, &gate] {
            let refused = bought.fixture.request("GET", &path).login(stranger).send().await;
            assert_eq!(refused.refusal(), (404, "not_found".into()), "{path}");
        }
        assert_eq!(bought.fixture.get(&path).await.status, 401);
    }
}

#[tokio::test]
async fn forged_tickets_are_no_tickets() {
    let bought = bought().await;
    let gate = bought.fixture.login(Role::Gate).await;
    let signed = bought.shown().await["ticket"].as_str().unwrap().to_owned();
    let elsewhere = Fixture::open().await;
    let id = TicketId::parse(&bought.ticket).unwrap();
    let known = bought.fixture.ledger.books.tickets.ticket(&id).await.unwrap().unwrap();
    let foreign = ledger::ticket::sign(&elsewhere.keys, &known, elsewhere.clock.now()).unwrap();
    let (text, _) = signed.rsplit_once('.').unwrap();
    for forged in [foreign, format!("{text}.AAAA"), gate.clone(), "x".into()] {
        let body = json!({ "ticket": forged });
        let refused = bought.fixture.post("/api/tickets/verify", &gate, &body).await;
        assert_eq!(refused.fields(), ["ticket"]);
    }
    for body in [json!({}), json!({ "ticket": 5 }), json!({ "ticket": "x".repeat(2_001) })] {
        let refused = bought.fixture.post("/api/tickets/verify", &gate, &body).await;
        assert_eq!(refused.fields(), ["ticket"]);
    }
    assert_eq!(bought.scan(&gate, &signed).await["result"], "valid");
}
