//! What a request's span says, and what it never says.
use crate::fixture::{Fixture, Pay};
use ledger::Role;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// The fields of a span, by name.
type Fields = BTreeMap<String, String>;

/// Keeps the spans of requests.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<HashMap<Id, Fields>>>);

impl Spans {
    fn of(&self, route: &str) -> Vec<Fields> {
        let spans = self.0.lock().unwrap();
        spans.values().filter(|fields| fields["route"] == route).cloned().collect()
    }
}

struct Keep<'f>(&'f mut Fields);

impl Visit for Keep<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: Subscriber> Layer<S> for Spans {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "ingress::request"
    }

    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::new();
        span.record(&mut Keep(&mut fields));
        self.0.lock().unwrap().insert(id.clone(), fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Keep(self.0.lock().unwrap().get_mut(id).unwrap()));
    }
}

#[tokio::test]
async fn a_span_names_the_route_and_the_ids_and_no_secret() {
    let spans = Spans::default();
    let _recording =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let fixture = Fixture::open().await;
    // Another test's thread may have been the first to make a span, and found nobody interested.
    fixture.get("/.well-known/jwks.json").await.expect(200);
    tracing::callsite::rebuild_interest_cache();
    let event = fixture.event(json!({ "total_seats": 2 })).await;
    let login = fixture.login(Role::User).await;
    let lock = json!({ "event_id": event, "seat_number": 1 });
    let lock = fixture.request("POST", "/api/tickets/lock").login(&login).json(&lock);
    let held = lock.header("x-request-id", "req-7").send().await.expect(200);
    let hold = held.json()["hold_id"].as_str().unwrap().to_owned();
    let book = json!({ "event_id": event, "hold_id": hold, "payment_token": "tok_secret" });
    let booked = fixture.post("/api/tickets/book", &login, &book).await.expect(202).json();
    fixture.pay(Pay::Yes).await;
    fixture.get("/api/queue/none").await;

    let [lock] = &spans.of("/api/tickets/lock")[..] else { panic!("one lock") };
    for (field, expected) in [
        ("method", "POST"),
        ("request.id", "req-7"),
        ("status", "200"),
        ("event.id", &event),
        ("hold.id", &hold),
    ] {
        assert_eq!(lock.get(field).map(String::as_str), Some(expected), "{field}");
    }
    let [book] = &spans.of("/api/tickets/book")[..] else { panic!("one booking") };
    assert_eq!(book["booking.id"], booked["booking_id"].as_str().unwrap());
    let [watch] = &spans.of("/api/queue/{queue}")[..] else { panic!("one look") };
    assert_eq!(watch.get("request.id"), None, "watchers get no id");
    let pass = held.header("admission-pass").unwrap();
    let all = format!("{:?}", spans.0.lock().unwrap());
    for secret in [login.as_str(), "tok_secret", pass] {
        assert!(!all.contains(secret), "{all}");
    }
}
