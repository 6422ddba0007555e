//! The line: boards, joins, standings, passes, and leaving.
use crate::client::{Response, TEST_TIMEOUT};
use crate::fixture::Fixture;
use ledger::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An event where people wait: nobody is called.
async fn paused(fixture: &Fixture) -> String {
    fixture.event(json!({ "total_seats": 9, "queue": { "state": "paused" } })).await
}

async fn steer(fixture: &Fixture, event: &str, patch: Value) {
    let admin = fixture.login(Role::Admin).await;
    let path = format!("/api/events/{event}/queue");
    fixture.request("PATCH", &path).login(&admin).json(&patch).send().await.expect(200);
}

async fn join(fixture: &Fixture, queue: &str) -> String {
    let answer =
        fixture.request("POST", &format!("/api/queue/{queue}/join")).send().await.expect(201);
    answer.json()["token"].as_str().unwrap().to_owned()
}

async fn claim(fixture: &Fixture, queue: &str, token: &str, login: &str) -> Response {
    let path = format!("/api/queue/{queue}/pass");
    fixture.request("POST", &path).login(login).header("queue-token", token).send().await
}

/// Claims until it is one's turn.
async fn admitted(fixture: &Fixture, queue: &str, token: &str, login: &str) -> Response {
    loop {
        let answer = claim(fixture, queue, token, login).await;
        if answer.status != 202 {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_board_is_public_and_tagged() {
    let fixture = Fixture::open().await;
    let event = paused(&fixture).await;
    let path = format!("/api/queue/{event}");
    let board = fixture.get(&path).await.expect(200);
    assert_eq!(board.header("cache-control"), Some("public, max-age=1"));
    assert_eq!(board.header("x-request-id"), None, "everyone gets the same bytes");
    assert_eq!(board.json()["state"], "paused");
    let etag = board.header("etag").unwrap();
    let same = fixture.request("GET", &path).header("if-none-match", etag).send().await;
    // The board is made anew about once a second; it either is the same or it is whole.
    assert!(same.status == 304 && same.body.is_empty() || same.status == 200);
    assert_eq!(fixture.get("/api/queue/none").await.refusal(), (404, "not_found".into()));
    fixture.get(&format!("{path}?utm_source=mail")).await.expect(200);
}

#[tokio::test]
async fn a_place_is_kept_by_its_token() {
    let fixture = Fixture::open().await;
    let event = paused(&fixture).await;
    let path = format!("/api/queue/{event}/join");
    let joined = fixture.request("POST", &path).json(&json!({})).send().await.expect(201);
    let token = joined.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(joined.json()["state"], "waiting");
    assert_eq!(joined.header("cache-control"), Some("no-store"));
    let cookie = joined.header("set-cookie").unwrap().to_owned();
    let of_queue = format!("; Path=/api/queue/{event};");
    for part in [of_queue.as_str(), "HttpOnly", "SameSite=Lax", "Max-Age=604800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"));

    let again =
        fixture.request("POST", &path).header("queue-token", &token).send().await.expect(200);
    assert_eq!(again.json()["number"], joined.json()["number"]);
    let by_cookie = cookie.split(';').next().unwrap();
    let again = fixture.request("POST", &path).header("cookie", by_cookie).send().await.expect(200);
    assert_eq!(again.json()["entry"], joined.json()["entry"]);
    let forged =
        fixture.request("POST", &path).header("queue-token", "forged").send().await.expect(201);
    assert_ne!(forged.json()["number"], joined.json()["number"]);

    let me = format!("/api/queue/{event}/me");
    let standing =
        fixture.request("GET", &me).header("queue-token", &token).send().await.expect(200);
    assert_eq!(standing.json()["number"], joined.json()["number"]);
    assert_eq!(standing.json()["paused"], true);
    fixture.request("GET", &me).header("cookie", by_cookie).send().await.expect(200);
    let other = paused(&fixture).await;
    let elsewhere = format!("/api/queue/{other}/me");
    for (path, token) in [(&me, "forged"), (&elsewhere, token.as_str())] {
        let refused = fixture.request("GET", path).header("queue-token", token).send().await;
        assert_eq!(refused.refusal(), (401, "unauthenticated".into()), "{path}");
    }
    assert_eq!(fixture.get(&me).await.refusal(), (401, "unauthenticated".into()));
    let missing = fixture.request("POST", "/api/queue/none/join").send().await;
    assert_eq!(missing.refusal(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_place_and_the_public_status_say_how_many_are_ahead_by_one_formula() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 9, "queue": { "capacity": 1 } })).await;
    for _ in 0..3 {
        join(&fixture, &event).await;
    }
    let path = format!("/api/queue/{event}/join");
    let joined = fixture.request("POST", &path).send().await.expect(201).json();
    let token = joined["token"].as_str().unwrap();
    let me = fixture.request("GET", &format!("/api/queue/{event}/me"));
    let me = me.header("queue-token", token).send().await.expect(200).json();
    // The node's status follows a moment after the step.
    while fixture.get(&format!("/api/queue/{event}")).await.json()["now_serving"] != 1 {
        tokio::task::yield_now().await;
    }
    for told in [&joined, &me] {
        let number = told["number"].as_u64().unwrap();
        let now_serving = told["now_serving"].as_u64().unwrap();
        assert_eq!((number, now_serving), (4, 1), "{told}");
        assert_eq!(told["ahead"], ledger::people_ahead(number, now_serving), "{told}");
        assert_eq!(told["ahead"], 2, "whoever is called is not ahead: {told}");
    }
}

#[tokio::test]
async fn cookies_are_secure_where_tls_ends_in_front() {
    let fixture = Fixture::with(|config| config.cookies_secure = true).await;
    let event = paused(&fixture).await;
    let joined =
        fixture.request("POST", &format!("/api/queue/{event}/join")).send().await.expect(201);
    assert!(joined.header("set-cookie").unwrap().contains("; Secure"));
}

#[tokio::test]
async fn whoever_is_called_gets_one_pass() {
    let fixture = Fixture::open().await;
    let event = paused(&fixture).await;
    let (token, login) = (join(&fixture, &event).await, fixture.login(Role::User).await);
    let early = claim(&fixture, &event, &token, &login).await.expect(202);
    assert_eq!(early.json()["state"], "waiting");
    let anonymous = fixture.request("POST", &format!("/api/queue/{event}/pass"));
    let anonymous = anonymous.header("queue-token", &token).send().await;
    assert_eq!(anonymous.refusal(), (401, "unauthenticated".into()));

    steer(&fixture, &event, json!({ "state": "open" })).await;
    let first = admitted(&fixture, &event, &token, &login).await.expect(200);
    assert!(first.json()["expires_in"].as_i64().unwrap() > 0);
    assert_eq!(first.json()["pass"], first.header("admission-pass").unwrap());
    assert!(first.header("set-cookie").unwrap().contains("HttpOnly"));
    let again = claim(&fixture, &event, &token, &login).await.expect(200);
    assert_eq!(again.json()["pass"], first.json()["pass"]);
    let thief = fixture.login(Role::User).await;
    let stolen = claim(&fixture, &event, &token, &thief).await;
    assert_eq!(stolen.refusal(), (409, "token_used".into()));
}

#[tokio::test]
async fn the_pass_gates_the_lock() {
    let fixture = Fixture::open().await;
    let event = paused(&fixture).await;
    let (token, login) = (join(&fixture, &event).await, fixture.login(Role::User).await);
    let lock = json!({ "event_id": event, "seat_number": 1 });
    let refused = fixture.post("/api/tickets/lock", &login, &lock).await;
    assert_eq!(refused.refusal(), (403, "queue_required".into()));
    assert_eq!(refused.json()["join"], format!("/api/queue/{event}/join"));

    steer(&fixture, &event, json!({ "state": "open" })).await;
    let pass = admitted(&fixture, &event, &token, &login).await.expect(200);
    let pass = pass.header("admission-pass").unwrap().to_owned();
    steer(&fixture, &event, json!({ "state": "paused" })).await;
    let with = |login: &str, pass: &str| {
        let request = fixture.request("POST", "/api/tickets/lock").login(login).json(&lock);
        request.header("admission-pass", pass).send()
    };
    let thief = fixture.login(Role::User).await;
    for (login, pass) in [(&thief, pass.as_str()), (&login, "forged"), (&login, "")] {
        let refused = with(login, pass).await;
        assert_eq!(refused.refusal(), (403, "pass_invalid".into()), "{pass}");
    }
    let other = fixture.event(json!({ "total_seats": 1 })).await;
    let elsewhere = json!({ "event_id": other, "seat_number": 1 });
    let request = fixture.request("POST", "/api/tickets/lock").login(&login).json(&elsewhere);
    let refused = request.header("admission-pass", &pass).send().await;
    assert_eq!(refused.refusal(), (403, "pass_invalid".into()), "another event's queue");
    let held = with(&login, &pass).await.expect(200);
    assert_eq!(held.header("admission-pass"), None, "it has its pass already");

    let leave = fixture.request("DELETE", &format!("/api/queue/{event}/me"));
    leave.header("admission-pass", &pass).send().await.expect(204);
    let late = with(&login, &pass).await;
    assert_eq!(late.refusal(), (403, "pass_invalid".into()), "the slot was given back");
}

#[tokio::test]
async fn an_old_cookie_is_nobodys_claim() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 9 })).await;
    let login = fixture.login(Role::User).await;
    let lock = json!({ "event_id": event, "seat_number": 1 });
    let cookie = format!("tidegate_pass_{event}=stale");
    let request = fixture.request("POST", "/api/tickets/lock").login(&login).json(&lock);
    request.header("cookie", &cookie).send().await.expect(200);
}

#[tokio::test]
async fn leaving_needs_a_proof_and_closing_ends_the_line() {
    let fixture = Fixture::open().await;
    let event = paused(&fixture).await;
    let token = join(&fixture, &event).await;
    let me = format!("/api/queue/{event}/me");
    let anonymous = fixture.request("DELETE", &me).send().await;
    assert_eq!(anonymous.refusal(), (401, "unauthenticated".into()));
    fixture.request("DELETE", &me).header("queue-token", &token).send().await.expect(204);
    fixture.request("DELETE", &me).header("queue-token", &token).send().await.expect(204);

    steer(&fixture, &event, json!({ "state": "closed" })).await;
    let login = fixture.login(Role::User).await;
    let late = fixture.request("POST", &format!("/api/queue/{event}/join")).send().await;
    assert_eq!(late.refusal(), (409, "queue_closed".into()));
    let lock = json!({ "event_id": event, "seat_number": 1 });
    let late = fixture.post("/api/tickets/lock", &login, &lock).await;
    assert_eq!(late.refusal(), (409, "queue_closed".into()));
    let shown = fixture.get(&format!("/api/events/{event}")).await.json();
    assert_eq!(shown["status"], "closed");
}

/// Reads events until one fits, or the stream ends.
async fn until(stream: &mut TcpStream, seen: &mut String, text: &str) -> bool {
    let wait = async {
        while !seen.contains(text) {
            let mut bytes = [0; 1_024];
            let count = stream.read(&mut bytes).await.unwrap_or(0);
            if count == 0 {
                return false;
            }
            seen.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        true
    };
    tokio::time::timeout(TEST_TIMEOUT, wait).await.expect("an event comes")
}

async fn open_stream(fixture: &Fixture, event: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let head = format!(
        "GET /api/queue/{event}/stream HTTP/1.1\r\nhost: test\r\nqueue-token: {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_stream_tells_each_change_and_ends_with_the_line() {
    let fixture = Fixture::open().await;
    let event = paused(&fixture).await;
    let token = join(&fixture, &event).await;
    let (mut stream, mut seen) = (open_stream(&fixture, &event, &token).await, String::new());
    assert!(until(&mut stream, &mut seen, "event: status\ndata: {").await);
    assert!(seen.contains("text/event-stream") && seen.contains("no-store"), "{seen}");
    assert!(seen.contains("\"waiting\""), "{seen}");
    steer(&fixture, &event, json!({ "state": "open" })).await;
    assert!(until(&mut stream, &mut seen, "\"ready\"").await, "{seen}");
    steer(&fixture, &event, json!({ "state": "closed" })).await;
    assert!(until(&mut stream, &mut seen, "\"closed\"").await, "{seen}");
    assert!(until(&mut stream, &mut seen, "\r\n0\r\n\r\n").await, "the stream ends: {seen}");
    let again = fixture.request("GET", &format!("/api/queue/{event}/stream"));
    again.header("queue-token", &token).send().await.expect(204);
}

#[tokio::test]
async fn a_quiet_stream_says_that_it_lives_and_a_drain_ends_it() {
    let fixture = Fixture::with(|config| config.stream_heartbeat_ms = 50).await;
    let event = paused(&fixture).await;
    let token = join(&fixture, &event).await;
    let (mut stream, mut seen) = (open_stream(&fixture, &event, &token).await, String::new());
    assert!(until(&mut stream, &mut seen, ": still here").await, "{seen}");
    fixture.front.cancel();
    assert!(until(&mut stream, &mut seen, "\r\n0\r\n\r\n").await, "{seen}");
}

#[tokio::test]
async fn streams_are_bounded() {
    let fixture = Fixture::with(|config| config.streams_max = 1).await;
    let event = paused(&fixture).await;
    let token = join(&fixture, &event).await;
    let (mut first, mut seen) = (open_stream(&fixture, &event, &token).await, String::new());
    assert!(until(&mut first, &mut seen, "event: status").await);
    let path = format!("/api/queue/{event}/stream");
    let second = fixture.request("GET", &path).header("queue-token", &token).send().await;
    assert_eq!(second.refusal(), (503, "unavailable".into()));
    assert!(second.header("retry-after").is_some());
    drop(first);
    loop {
        let (mut third, mut seen) = (open_stream(&fixture, &event, &token).await, String::new());
        if until(&mut third, &mut seen, "event: status").await || !seen.contains(" 503 ") {
            break;
        }
    }
    let forged = fixture.request("GET", &path).header("queue-token", "forged").send().await;
    assert_eq!(forged.refusal(), (401, "unauthenticated".into()));
}

/// A form on another site can be sent without its visitor's will, cookies and all.
#[tokio::test]
async fn pages_of_other_sites_cannot_use_the_cookies() {
    let listed = "https://tickets.example";
    let fixture = Fixture::with(|config| config.cors_origins = vec![listed.to_owned()]).await;
    let event = paused(&fixture).await;
    let token = join(&fixture, &event).await;
    let queue = format!("/api/queue/{event}");
    let routes = [
        ("POST", format!("{queue}/join")),
        ("GET", format!("{queue}/me")),
        ("GET", format!("{queue}/stream")),
        ("POST", format!("{queue}/pass")),
        ("DELETE", format!("{queue}/me")),
        ("POST", "/api/tickets/lock".to_owned()),
    ];
    let cookie = format!("tidegate_token_{event}={token}");
    for (method, path) in &routes {
        for (header, value) in [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let request = fixture.request(method, path).header("cookie", &cookie);
            let refused = request.header(header, value).send().await;
            assert_eq!(refused.refusal(), (403, "cross_site".into()), "{method} {path} {value}");
            assert_eq!(refused.header("set-cookie"), None);
        }
    }
    let standing = fixture.request("GET", &routes[1].1).header("cookie", &cookie);
    standing.send().await.expect(200);
    for (header, value) in [("origin", "http://test"), ("origin", listed)] {
        let request = fixture.request("POST", &routes[0].1).header(header, value);
        request.header("cookie", &cookie).send().await.expect(200);
    }
}

/// Two people use one browser: what the first left in it is not the second's.
#[tokio::test]
async fn a_place_of_another_account_is_nobody_elses() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 9 })).await;
    let (first, second) = (fixture.login(Role::User).await, fixture.login(Role::User).await);
    let token = join(&fixture, &event).await;
    admitted(&fixture, &event, &token, &first).await.expect(200);
    let cookie = format!("tidegate_token_{event}={token}");
    let queue = format!("/api/queue/{event}");
    let with = |method, path: &str, login: &str| {
        let request = fixture.request(method, &format!("{queue}{path}"));
        request.login(login).header("cookie", &cookie).send()
    };
    for (method, path) in [("GET", "/me"), ("DELETE", "/me"), ("POST", "/pass")] {
        let refused = with(method, path, &second).await;
        assert_eq!(refused.refusal(), (409, "token_used".into()), "{method} {path}");
    }
    let joined = with("POST", "/join", &second).await.expect(201).json();
    let own = joined["token"].as_str().unwrap();
    admitted(&fixture, &event, own, &second).await.expect(200);
    assert_eq!(with("GET", "/me", &first).await.expect(200).json()["state"], "admitted");

    let left = with("DELETE", "/me", &first).await.expect(204);
    let ended: Vec<_> =
        left.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(ended.len(), 3, "{ended:?}");
    assert!(ended.iter().all(|line| line.contains("Max-Age=0")), "{ended:?}");
    assert!(ended[0].starts_with(&format!("tidegate_token_{event}=;")), "{ended:?}");
}
