//! Bookings from their 202 to their end.
use crate::client::Response;
use crate::fixture::{Fixture, Pay};
use ledger::Role;
use serde_json::{Value, json};

struct Sale {
    fixture: Fixture,
    event: String,
    login: String,
}

async fn sale() -> Sale {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 4 })).await;
    let login = fixture.login(Role::User).await;
    Sale { fixture, event, login }
}

impl Sale {
    async fn lock(&self, seat: u32) -> Value {
        let body = json!({ "event_id": self.event, "seat_number": seat });
        self.fixture.post("/api/tickets/lock", &self.login, &body).await.expect(200).json()
    }

    async fn book(&self, body: Value) -> Response {
        let mut form = json!({ "event_id": self.event });
        form.as_object_mut().unwrap().extend(body.as_object().cloned().unwrap());
        self.fixture.post("/api/tickets/book", &self.login, &form).await
    }

    async fn get(&self, booking: &str, login: &str) -> Response {
        let path = format!("/api/bookings/{booking}");
        self.fixture.request("GET", &path).login(login).send().await
    }

    /// Waits for the booking's end by long polls.
    async fn ended(&self, booking: &str) -> Value {
        loop {
            let shown = self.get(&format!("{booking}?wait=20"), &self.login).await;
            let shown = shown.expect(200).json();
            if shown["status"] != "processing" {
                return shown;
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_booking_is_never_missing_and_ends_confirmed() {
    let sale = sale().await;
    let hold = sale.lock(1).await;
    let accepted = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
    let booking = text(&accepted.json()["booking_id"]);
    let address = format!("/api/bookings/{booking}");
    assert_eq!(accepted.json()["status_url"], address);
    assert_eq!(accepted.header("location"), Some(address.as_str()));
    assert_eq!(accepted.json()["status"], "processing");
    let shown = sale.get(&booking, &sale.login).await.expect(200);
    assert_eq!(shown.json()["status"], "processing");
    assert_eq!(shown.header("cache-control"), Some("no-store"));

    let again = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
    assert_eq!(again.json()["booking_id"], booking.as_str(), "one live booking a hold");
    let path = format!("/api/tickets/lock/{}", text(&hold["hold_id"]));
    let paying = sale.fixture.request("DELETE", &path).login(&sale.login).send().await;
    assert_eq!(paying.refusal(), (409, "hold_paying".into()));

    let (ended, ()) = tokio::join!(sale.ended(&booking), sale.fixture.pay(Pay::Yes));
    assert_eq!(ended["status"], "confirmed");
    assert_eq!(ended["seats"], json!(["main-A-1"]));
    assert_eq!(ended["tickets"][0]["seat"], "main-A-1");
    let ticket = text(&ended["tickets"][0]["url"]);
    sale.fixture.request("GET", &ticket).login(&sale.login).send().await.expect(200);
    let list =
        sale.fixture.request("GET", "/api/bookings").login(&sale.login).send().await.expect(200);
    assert_eq!(list.json()["items"][0]["id"], booking.as_str());
}

#[tokio::test]
async fn the_oldest_clients_book_by_seat_number() {
    let sale = sale().await;
    sale.lock(2).await;
    let form = json!({ "eventId": sale.event, "seatNumber": 2 });
    let booked = sale.fixture.post("/api/tickets/book", &sale.login, &form).await.expect(202);
    let (ended, ()) = tokio::join!(sale.ended_of(&booked), sale.fixture.pay(Pay::Yes));
    assert_eq!(ended["status"], "confirmed");
}

impl Sale {
    async fn ended_of(&self, accepted: &Response) -> Value {
        let booking = text(&accepted.json()["booking_id"]);
        self.ended(&booking).await
    }
}

#[tokio::test]
async fn after_a_decline_the_seats_stay_for_a_while() {
    let sale = sale().await;
    let hold = sale.lock(1).await;
    let pay = json!({ "hold_id": hold["hold_id"], "payment_token": "tok_decline" });
    let booked = sale.book(pay).await.expect(202);
    let (ended, ()) = tokio::join!(sale.ended_of(&booked), sale.fixture.pay(Pay::No));
    assert_eq!(
        (&ended["status"], &ended["failure_code"]),
        (&json!("declined"), &json!("card_declined"))
    );
    assert_eq!(ended["hold"]["hold_id"], hold["hold_id"]);
    assert!(ended["hold"]["expires_in"].as_i64().unwrap() >= 1);
    let second = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
    assert_ne!(second.json()["booking_id"], booked.json()["booking_id"]);
    let (ended, ()) = tokio::join!(sale.ended_of(&second), sale.fixture.pay(Pay::Yes));
    assert_eq!(ended["status"], "confirmed");
}

#[tokio::test]
async fn cancelling_gives_money_and_seats_back() {
    let sale = sale().await;
    let hold = sale.lock(1).await;
    let booked = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
    let booking = text(&booked.json()["booking_id"]);
    tokio::join!(sale.ended(&booking), sale.fixture.pay(Pay::Yes));
    let path = format!("/api/bookings/{booking}/cancel");
    let stranger = sale.fixture.login(Role::User).await;
    let refused = sale.fixture.request("POST", &path).login(&stranger).send().await;
    assert_eq!(refused.refusal(), (404, "not_found".into()));
    let accepted = sale.fixture.request("POST", &path).login(&sale.login).send().await.expect(202);
    assert_eq!(accepted.json()["booking_id"], booking.as_str());
    sale.fixture.pay(Pay::Yes).await;
    let shown = loop {
        let shown = sale.get(&booking, &sale.login).await.json();
        if shown["status"] != "confirmed" {
            break shown;
        }
    };
    assert_eq!(shown["status"], "refund_pending");
    assert_eq!(shown["refunds"][0]["amount"]["minor"], 4_500);
}

#[tokio::test]
async fn what_a_cancel_cannot_undo_is_refused() {
    let sale = sale().await;
    let cancel = async |booking: &str| {
        let path = format!("/api/bookings/{booking}/cancel");
        sale.fixture.request("POST", &path).login(&sale.login).send().await
    };
    let book = async |seat, pay| {
        let hold = sale.lock(seat).await;
        let booked = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
        let booking = text(&booked.json()["booking_id"]);
        tokio::join!(sale.ended(&booking), sale.fixture.pay(pay));
        booking
    };
    let declined = book(1, Pay::No).await;
    assert_eq!(cancel(&declined).await.refusal(), (409, "nothing_to_cancel".into()));

    let scanned = book(2, Pay::Yes).await;
    let shown = sale.get(&scanned, &sale.login).await.json();
    let ticket = format!("/api/tickets/{}", text(&shown["tickets"][0]["id"]));
    let ticket = sale.fixture.request("GET", &ticket).login(&sale.login).send().await.expect(200);
    let gate = sale.fixture.login(Role::Gate).await;
    let scan = json!({ "ticket": ticket.json()["ticket"] });
    sale.fixture.post("/api/tickets/verify", &gate, &scan).await.expect(200);
    assert_eq!(cancel(&scanned).await.refusal(), (409, "ticket_used".into()));

    // Once cancelled, it is cancelled: asking again is no mistake.
    let undone = book(3, Pay::Yes).await;
    cancel(&undone).await.expect(202);
    sale.fixture.pay(Pay::Yes).await;
    cancel(&undone).await.expect(202);
}

#[tokio::test]
async fn only_the_owner_and_admins_see_a_booking() {
    let sale = sale().await;
    let hold = sale.lock(1).await;
    let booked = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
    let booking = text(&booked.json()["booking_id"]);
    let [other, gate, admin] = [
        sale.fixture.login(Role::User).await,
        sale.fixture.login(Role::Gate).await,
        sale.fixture.login(Role::Admin).await,
    ];
    for stranger in [&other, &gate] {
        let refused = sale.get(&booking, stranger).await;
        assert_eq!(refused.refusal(), (404, "not_found".into()));
        let missing = sale.get("bkg_none", stranger).await;
        assert_eq!(refused.json(), missing.json(), "a stranger learns nothing");
    }
    sale.get(&booking, &admin).await.expect(200);
    let anonymous = sale.fixture.get(&format!("/api/bookings/{booking}")).await;
    assert_eq!(anonymous.refusal(), (401, "unauthenticated".into()));
    let list = sale.fixture.request("GET", "/api/bookings").login(&other).send().await.expect(200);
    assert_eq!(list.json()["items"], json!([]));

    let form = json!({ "event_id": sale.event, "hold_id": hold["hold_id"] });
    let theft = sale.fixture.post("/api/tickets/book", &other, &form).await;
    assert_eq!(theft.refusal(), (403, "not_holder".into()));
}

#[tokio::test]
async fn what_cannot_be_booked_says_why() {
    let sale = sale().await;
    let hold = sale.lock(1).await;
    let none = format!("hld_{}_00000000000000000000000000", sale.event);
    for hold in [none.as_str(), "hld_none"] {
        let refused = sale.book(json!({ "hold_id": hold })).await;
        assert_eq!(refused.refusal(), (410, "hold_expired".into()), "{hold}");
    }
    let refused = sale.book(json!({ "seat_number": 2 })).await;
    assert_eq!(refused.refusal(), (410, "hold_expired".into()), "nobody holds it");
    for (body, field) in [
        (json!({}), "hold_id"),
        (json!({ "hold_id": hold["hold_id"], "seat_number": 1 }), "hold_id"),
        (json!({ "seat_number": 9 }), "seat_number"),
        (json!({ "hold_id": hold["hold_id"], "amount": 1 }), "amount"),
        (json!({ "hold_id": hold["hold_id"], "payment_token": "a b" }), "payment_token"),
        (json!({ "hold_id": hold["hold_id"], "payment_token": "" }), "payment_token"),
    ] {
        assert_eq!(sale.book(body.clone()).await.fields(), [field], "{body}");
    }
    let posing = json!({ "hold_id": hold["hold_id"], "user_id": "acc_other" });
    assert_eq!(sale.book(posing).await.refusal(), (403, "user_mismatch".into()));
}

#[tokio::test]
async fn a_wait_ends_with_the_drain_or_its_time() {
    let sale = sale().await;
    let hold = sale.lock(1).await;
    let booked = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
    let booking = text(&booked.json()["booking_id"]);
    let waited = sale.get(&format!("{booking}?wait=1"), &sale.login).await.expect(200);
    assert_eq!(waited.json()["status"], "processing");
    for wait in ["31", "-1", "1.5", ""] {
        let refused = sale.get(&format!("{booking}?wait={wait}"), &sale.login).await;
        assert_eq!(refused.fields(), ["wait"], "{wait}");
    }
    let path = format!("{booking}?wait=30");
    let long = sale.get(&path, &sale.login);
    let (answer, ()) = tokio::join!(long, async {
        // The request has to be in hand first; a poll or two is enough for that.
        sale.get(&booking, &sale.login).await.expect(200);
        sale.fixture.front.cancel();
    });
    assert_eq!(answer.expect(200).json()["status"], "processing");
}

#[tokio::test]
async fn an_unknown_outcome_names_the_booking_and_shows_later() {
    let sale = sale().await;
    let hold = sale.lock(1).await;
    sale.fixture.faults.lose_replies(true);
    let unknown = sale.book(json!({ "hold_id": hold["hold_id"] })).await;
    assert_eq!(unknown.refusal(), (503, "outcome_unknown".into()));
    assert!(unknown.header("retry-after").is_some());
    let booking = text(&unknown.json()["booking_id"]);
    assert_eq!(unknown.json()["status_url"], format!("/api/bookings/{booking}"));
    assert!(!unknown.json().to_string().contains("the test lost"), "causes stay inside");
    sale.fixture.faults.lose_replies(false);
    let shown = sale.get(&booking, &sale.login).await.expect(200);
    assert_eq!(shown.json()["status"], "processing");
    let again = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
    assert_eq!(again.json()["booking_id"], booking.as_str());
    let (ended, ()) = tokio::join!(sale.ended(&booking), sale.fixture.pay(Pay::Yes));
    assert_eq!(ended["status"], "confirmed");
}

#[tokio::test]
async fn what_failed_is_tried_again_under_its_key() {
    let sale = sale().await;
    let hold = sale.lock(1).await;
    let booked = sale.book(json!({ "hold_id": hold["hold_id"] })).await.expect(202);
    let path = format!("/api/bookings/{}/cancel", text(&booked.json()["booking_id"]));
    let cancel = || {
        let request = sale.fixture.request("POST", &path).login(&sale.login);
        request.header("idempotency-key", "k").send()
    };
    sale.fixture.faults.be_down(true);
    assert_eq!(cancel().await.refusal(), (503, "unavailable".into()));
    sale.fixture.faults.be_down(false);
    cancel().await.expect(202);
}

#[tokio::test]
async fn a_card_number_is_no_payment_token() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 1 })).await;
    let login = fixture.login(Role::User).await;
    let lock = json!({ "event_id": event, "seat_number": 1 });
    let hold = fixture.post("/api/tickets/lock", &login, &lock).await.expect(200).json();
    let book = |token: &str| json!({ "event_id": event, "hold_id": hold["hold_id"], "payment_token": token });
    for number in ["4242424242424242", "3782-822463-10005"] {
        let refused = fixture.post("/api/tickets/book", &login, &book(number)).await;
        assert_eq!(refused.fields(), ["payment_token"], "{number}");
        assert!(!String::from_utf8_lossy(&refused.body).contains(number));
    }
    fixture.post("/api/tickets/book", &login, &book("tok_4242")).await.expect(202);
}
