//! Connections: slow ones, odd ones, too many, and the drain.
use crate::client::{Response, read_all, talk};
use crate::fixture::Fixture;
use ledger::Role;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Counts the connections that were cut in this thread, by reason.
#[derive(Default)]
struct Cuts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Cuts {
    fn counted(&self) -> Vec<(String, u64)> {
        let cuts = self.0.lock().unwrap();
        cuts.iter().map(|(why, count)| (why.clone(), count.load(Ordering::Relaxed))).collect()
    }
}

impl Recorder for Cuts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() != ingress::metrics::CUTS {
            return Counter::noop();
        }
        let reason = key.labels().next().unwrap().value().to_owned();
        Counter::from_arc(self.0.lock().unwrap().entry(reason).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

const GET: &str = "GET /api/events HTTP/1.1\r\nhost: test\r\n\r\n";

#[tokio::test]
async fn slow_heads_are_cut() {
    let fixture = Fixture::with(|config| config.header_read_timeout_ms = 50).await;
    for start in ["", "G", "GET /api/events HTTP/1.1\r\nhost: te"] {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let seen = read_all(&mut stream).await;
        if start.is_empty() {
            assert_eq!(seen, b"", "whoever says nothing is told nothing");
        } else {
            assert_eq!(Response::read(&seen).refusal(), (408, "timeout".into()), "{start:?}");
        }
    }
    // One byte now and then does not buy more time.
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let (mut read, mut write) = stream.split();
    let dribble = async {
        let mut pace = tokio::time::interval(std::time::Duration::from_millis(5));
        for byte in GET.bytes().cycle() {
            pace.tick().await;
            let sent = write.write_all(&[byte]).await;
            if sent.is_err() || byte == b'\n' {
                // The head never ends: its last line is never sent.
                std::future::pending::<()>().await;
            }
        }
    };
    let mut seen = Vec::new();
    tokio::select! {
        () = dribble => {}
        _ = read.read_to_end(&mut seen) => {}
    }
    assert_eq!(Response::read(&seen).refusal(), (408, "timeout".into()));
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let fixture = Fixture::with(|config| config.keep_alive_timeout_ms = 50).await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    let text = read_all(&mut stream).await;
    assert!(Response::read(&text).status == 200);
}

#[tokio::test]
async fn slow_bodies_are_cut() {
    let fixture = Fixture::with(|config| config.body_read_timeout_ms = 50).await;
    let head = "POST /api/auth/register HTTP/1.1\r\nhost: test\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"username\"";
    let answer = Response::read(&talk(fixture.address, head.as_bytes()).await);
    assert_eq!(answer.refusal(), (408, "timeout".into()));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn slow_readers_are_cut() {
    let cuts = Cuts::default();
    let _recording = metrics::set_default_local_recorder(&cuts);
    let fixture = Fixture::with(|config| config.write_timeout_ms = 50).await;
    let sections: Vec<_> = (0..4)
        .map(|n| {
            let rows: Vec<_> =
                (0..20).map(|row| json!({ "name": format!("R{row}"), "seats": 500 })).collect();
            json!({ "id": format!("s{n}"), "name": "S", "rows": rows })
        })
        .collect();
    let event = fixture.event(json!({ "sections": sections })).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(fixture.address).await.unwrap();
    let request = format!("GET /api/events/{event}/layout HTTP/1.1\r\nhost: test\r\n\r\n");
    // Nobody reads the answers: once the kernel's buffers are full, the server waits to write and
    // reads no more, so that our writes wait too, until it has had enough of us.
    while stream.write_all(request.as_bytes()).await.is_ok() {}
    assert_eq!(cuts.counted(), [("slow_read".to_owned(), 1)]);
}

#[tokio::test]
async fn heads_are_bounded() {
    let fixture = Fixture::open().await;
    let fields: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(40_000));
    for bomb in [fields, long] {
        let text = format!("GET /api/events HTTP/1.1\r\nhost: test\r\n{bomb}\r\n");
        let seen = talk(fixture.address, text.as_bytes()).await;
        let refused = Response::read(&seen);
        assert_eq!(refused.refusal(), (431, "head_too_large".into()), "{bomb:.40}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
    let path = format!("/{}", "a".repeat(15_000));
    let text = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    let answer = Response::read(&talk(fixture.address, text.as_bytes()).await);
    assert!((400..500).contains(&answer.status));
}

#[tokio::test]
async fn smuggled_requests_get_one_refusal_or_none() {
    let fixture = Fixture::open().await;
    let inner = "GET /api/events HTTP/1.1\r\nhost: inner\r\n\r\n";
    let post = "POST /api/auth/register HTTP/1.1\r\nhost: test\r\n\
        content-type: application/json\r\n";
    let shapes = [
        format!("{post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}content-length: 0\r\ncontent-length: 44\r\n\r\n{inner}"),
        format!("{post}content-length: 0, 44\r\n\r\n{inner}"),
        format!("{post}content-length: 0\r\ncontent-length: 0\r\n\r\n{inner}"),
        format!("{post}content-length: +0\r\n\r\n{inner}"),
        format!("{post}content-length : 0\r\n\r\n{inner}"),
        format!("{post}content-length:\r\n 0\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: chunked\r\n\r\n-1\r\n\r\n{inner}"),
        format!("{post}transfer-encoding: chunked\r\n\r\n1\n{{\n0\n\n{inner}"),
        format!("{post}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{inner}"),
        format!("POST /api/events HTTP/1.1\nhost: test\ncontent-length: 0\n\n{inner}"),
        format!("GET /api/events HTTP/1.1\r\nhost: test\r\nx: a\ncontent-length: 9\r\n\r\n{inner}"),
        format!("GET /api/events HTTP/1.1\r\n\r\n{inner}"),
        format!("GET /api/events HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n{inner}"),
        format!("GET /api/events HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("GET /api/events HTTP/1.1 \r\nhost: test\r\n\r\n{inner}"),
        format!("GET /api/ev ents HTTP/1.1\r\nhost: test\r\n\r\n{inner}"),
        format!("GET /api/events HTTP/9.9\r\nhost: test\r\n\r\n{inner}"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for shape in shapes {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        stream.write_all(shape.as_bytes()).await.unwrap();
        // Whoever smuggles keeps the connection open: the server has to close it.
        let seen = read_all(&mut stream).await;
        let text = String::from_utf8_lossy(&seen);
        assert!(text.matches("HTTP/1.1 ").count() <= 1, "{shape}\n{text}");
        assert!(text.is_empty() || (400..500).contains(&Response::read(&seen).status), "{text}");
    }
}

/// A head is judged the same wherever it stands and however it arrives, and its refusal is an
/// answer that pages of other origins may read.
#[tokio::test]
async fn a_bad_head_is_refused_behind_a_body_too() {
    let origin = "https://tickets.example";
    let fixture = Fixture::with(|config| config.cors_origins = vec![origin.to_owned()]).await;
    let body = r#"{"username": "alice", "password": "wrong horse"}"#;
    let json = "content-type: application/json\r\n";
    let length = format!(
        "POST /api/auth/login HTTP/1.1\r\nhost: test\r\n{json}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let chunked = format!(
        "POST /api/auth/login HTTP/1.1\r\nhost: test\r\n{json}transfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let post =
        format!("POST /api/auth/register HTTP/1.1\r\nhost: test\r\norigin: {origin}\r\n{json}");
    for bad in [
        format!("{post}content-length: 0\r\ncontent-length: 0\r\n\r\n{GET}"),
        format!("{post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{GET}"),
        format!("{post}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n{GET}"),
        format!("{post}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n{GET}"),
        format!("{post}content-length: 0\n\n{GET}"),
    ] {
        for (before, status) in [("", None), (&length, Some(401)), (&chunked, Some(401))] {
            let text = format!("{before}{bad}");
            let seen = talk(fixture.address, text.as_bytes()).await;
            let seen = String::from_utf8(seen).unwrap();
            let starts: Vec<_> = seen.match_indices("HTTP/1.1 ").map(|(at, _)| at).collect();
            assert_eq!(starts.len(), 1 + usize::from(status.is_some()), "{text}\n{seen}");
            if let Some(status) = status {
                assert!(seen.starts_with(&format!("HTTP/1.1 {status}")), "{seen}");
            }
            let refused = Response::read(&seen.as_bytes()[*starts.last().unwrap()..]);
            assert_eq!(refused.refusal(), (400, "malformed".into()), "{text}");
            assert_eq!(refused.header("access-control-allow-origin"), Some(origin), "{text}");
        }
    }
}

#[tokio::test]
async fn plain_pipelining_still_works() {
    let fixture = Fixture::open().await;
    let last = "GET /api/events HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let text = talk(fixture.address, format!("{GET}{GET}{last}").as_bytes()).await;
    let text = String::from_utf8_lossy(&text);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let fixture = Fixture::with(|config| config.connections_max = 2).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        let mut bytes = [0; 12];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"HTTP/1.1 200");
        kept.push(stream);
    }
    let mut third = TcpStream::connect(fixture.address).await.unwrap();
    let refused = Response::read(&read_all(&mut third).await);
    assert_eq!(refused.refusal(), (503, "unavailable".into()));
    assert!(refused.header("retry-after").is_some());
    drop(kept);
    loop {
        let answer = Response::read(
            &talk(
                fixture.address,
                GET.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").as_bytes(),
            )
            .await,
        );
        if answer.status == 200 {
            break;
        }
    }
}

#[tokio::test]
async fn the_drain_finishes_what_is_in_hand_and_accepts_no_more() {
    let fixture = Fixture::open().await;
    let mut idle = TcpStream::connect(fixture.address).await.unwrap();
    idle.write_all(GET.as_bytes()).await.unwrap();
    let mut bytes = [0; 12];
    idle.read_exact(&mut bytes).await.unwrap();
    // A request whose body is still on its way.
    let body = json!({ "username": "alice", "password": "correct horse" }).to_string();
    let (first, second) = body.split_at(10);
    let mut busy = TcpStream::connect(fixture.address).await.unwrap();
    let head = format!(
        "POST /api/auth/register HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = [0; 25];
    busy.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"HTTP/1.1 100 Continue\r\n\r\n");
    busy.write_all(first.as_bytes()).await.unwrap();
    fixture.front.cancel();
    read_all(&mut idle).await;
    busy.write_all(second.as_bytes()).await.unwrap();
    Response::read(&read_all(&mut busy).await).expect(201);
    assert!(TcpStream::connect(fixture.address).await.is_err());
}

#[tokio::test]
async fn a_drain_that_takes_too_long_cuts() {
    let fixture = Fixture::with(|config| config.drain_timeout_ms = 50).await;
    let mut busy = TcpStream::connect(fixture.address).await.unwrap();
    let head = "POST /api/auth/register HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\n\
        content-type: application/json\r\ncontent-length: 10\r\n\r\n";
    busy.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = [0; 25];
    busy.read_exact(&mut bytes).await.unwrap();
    fixture.front.cancel();
    assert_eq!(read_all(&mut busy).await, b"");
}

#[tokio::test]
async fn work_goes_on_when_its_client_goes_away() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 1 })).await;
    let (account, login) = fixture.account(Role::User).await;
    let body = json!({ "event_id": event, "seat_number": 1 }).to_string();
    let request = format!(
        "POST /api/tickets/lock HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {login}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    // Sent in full, then gone without waiting for the answer.
    drop(stream);
    let mine = format!("/api/tickets/lock?event_id={event}");
    loop {
        let holds = fixture.request("GET", &mine).login(&login).send().await.expect(200).json();
        if let Some(hold) = holds["items"].get(0) {
            assert_eq!(hold["seats"], json!(["main-A-1"]), "{account}");
            break;
        }
    }
}
