//! Bodies that are not what they should be: never a 500, never an effect.
use crate::fixture::Fixture;
use ledger::Role;
use serde_json::json;

const REGISTER: &str = "/api/auth/register";

#[tokio::test]
async fn every_route_that_takes_a_body_reads_it_strictly() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 1 })).await;
    let [user, admin, gate] = [
        fixture.login(Role::User).await,
        fixture.login(Role::Admin).await,
        fixture.login(Role::Gate).await,
    ];
    let queue = format!("/api/queue/{event}");
    let token = fixture.request("POST", &format!("{queue}/join")).send().await.expect(201).json();
    let token = token["token"].as_str().unwrap();
    let routes = [
        ("POST", REGISTER.to_owned(), &user),
        ("POST", "/api/auth/login".into(), &user),
        ("POST", "/api/events".into(), &admin),
        ("PATCH", format!("/api/events/{event}/queue"), &admin),
        ("POST", format!("{queue}/join"), &user),
        ("POST", format!("{queue}/pass"), &user),
        ("POST", "/api/tickets/lock".into(), &user),
        ("POST", "/api/tickets/book".into(), &user),
        ("POST", "/api/tickets/verify".into(), &gate),
        ("POST", "/api/bookings/bkg_none/cancel".into(), &user),
    ];
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(70_000));
    for (method, path, login) in routes {
        let request = || fixture.request(method, &path).login(login).header("queue-token", token);
        let json = || request().header("content-type", "application/json");
        for (refused, expected) in [
            (json().raw("{").send().await, (400, "malformed")),
            (json().raw("{\"a\": 1, \"a\": 2}").send().await, (400, "malformed")),
            (json().raw(&b"{\"a\": \"\xff\"}"[..]).send().await, (400, "malformed")),
            (json().raw(deep.clone()).send().await, (400, "malformed")),
            (json().raw("[]").send().await, (422, "validation")),
            (json().raw("null").send().await, (422, "validation")),
            (json().raw("{\"surprise\": 1}").send().await, (422, "validation")),
            (json().raw(large.clone()).send().await, (413, "too_large")),
            (request().raw("{}").send().await, (415, "media_type")),
            (
                request().header("content-type", "text/plain").raw("{}").send().await,
                (415, "media_type"),
            ),
        ] {
            let (status, code) = expected;
            assert_eq!(refused.refusal(), (status, code.to_owned()), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_repeated_field_is_named_and_nothing_is_made() {
    let fixture = Fixture::open().await;
    let body = r#"{"username": "alice", "password": "correct horse", "username": "bob"}"#;
    let json = |body: &str| {
        let request = fixture.request("POST", REGISTER).header("content-type", "application/json");
        request.raw(body.to_owned()).send()
    };
    let refused = json(body).await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("username"));
    let alias = r#"{"event_id": "a", "eventId": "b", "seat_number": 1}"#;
    let login = fixture.login(Role::User).await;
    let request = fixture.request("POST", "/api/tickets/lock").login(&login);
    let refused = request.header("content-type", "application/json").raw(alias).send().await;
    assert_eq!(refused.refusal(), (400, "malformed".into()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("eventId"));
    for name in ["alice", "bob"] {
        let form = json!({ "username": name, "password": "correct horse" });
        fixture.request("POST", REGISTER).json(&form).send().await.expect(201);
    }
}

#[tokio::test]
async fn a_body_in_many_chunks_is_one_body() {
    let fixture = Fixture::open().await;
    let mut request = format!(
        "POST {REGISTER} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    for piece in [r#"{"username": "#, r#""alice", "pass"#, r#"word": "correct horse"}"#] {
        request.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    request.push_str("0\r\n\r\n");
    let text = crate::client::talk(fixture.address, request.as_bytes()).await;
    crate::client::Response::read(&text).expect(201);
}

#[tokio::test]
async fn values_cannot_write_the_log_or_the_headers() {
    let fixture = Fixture::open().await;
    for value in ["a\nb", "a\r\nset-cookie: x=1", "\u{1b}[31m", "a\u{0}b"] {
        let form = json!({ "username": value, "password": "correct horse" });
        let refused = fixture.request("POST", REGISTER).json(&form).send().await;
        assert_eq!(refused.fields(), ["username"], "{value:?}");
        assert_eq!(refused.header("set-cookie"), None);
    }
    for id in ["a%0d%0ab", "a%0ab"] {
        let refused = fixture.get(&format!("/api/events/{id}")).await;
        assert_eq!(refused.refusal(), (404, "not_found".into()));
    }
    let odd = fixture.request("GET", "/api/events").header("x-request-id", "a b\"c").send().await;
    assert_ne!(odd.header("x-request-id"), Some("a b\"c"));
    let sound = fixture.request("GET", "/api/events").header("x-request-id", "req-7").send().await;
    assert_eq!(sound.header("x-request-id"), Some("req-7"));
}

/// What costs little to send must cost little to refuse.
#[tokio::test]
async fn much_is_counted_before_anything_is_made() {
    let fixture = Fixture::with(|config| config.body_bytes_max = 262_144).await;
    let admin = fixture.login(Role::Admin).await;
    let event = |rows: usize, seats: serde_json::Value| {
        let row = json!({ "name": "A", "seats": seats });
        let section = |n| json!({ "id": format!("s{n}"), "name": "S", "rows": vec![&row; rows] });
        let sections: Vec<_> = (0..4).map(section).collect();
        json!({ "name": "N", "date": "2030-05-01", "venue": "V", "sections": sections })
    };
    let many = fixture.post("/api/events", &admin, &event(2_000, json!(2_000))).await;
    assert_eq!(many.fields(), ["sections"], "16 million seats");
    let wrong = fixture.post("/api/events", &admin, &event(2_000, json!(0))).await;
    assert_eq!(wrong.fields().len(), 64, "8,000 rows are wrong");
    assert!(wrong.body.len() < 16_384, "{} bytes", wrong.body.len());
}
