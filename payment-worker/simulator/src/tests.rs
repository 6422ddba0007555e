//! Both gateways under the one contract, and what is particular to each.
use crate::{MIGRATIONS, SimulatedGateway, Simulation, serve};
use ledger::{BookingId, Clock, Currency, Cursor, Money, PaymentToken, RefundId, StoreError};
use ledger_sqlite::SqliteFile;
use payment_worker::conformance::{self, config};
use payment_worker::gateway::*;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A simulated gateway in a folder of its own, which lives as long as the second value.
async fn gateway(simulation: Simulation) -> (SimulatedGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    (gateway_at(&folder.path().join("gateway.db"), simulation, Clock::System).await, folder)
}

/// A simulated gateway with its log at `path`.
async fn gateway_at(path: &Path, simulation: Simulation, clock: Clock) -> SimulatedGateway {
    let file = SqliteFile::open(path, &MIGRATIONS).await.expect("a gateway log");
    SimulatedGateway::new(simulation, file, clock)
}

fn twice() -> Simulation {
    Simulation { latency_ms: 0, duplicate: 1.0, ..Simulation::default() }
}

#[tokio::test]
async fn the_simulation_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    conformance::payment_gateway(async || {
        count.set(count.get() + 1);
        let path = folder.path().join(format!("{}.db", count.get()));
        Arc::new(gateway_at(&path, twice(), Clock::System).await) as Arc<dyn PaymentGateway>
    })
    .await;
}

struct Server {
    address: String,
    _folder: tempfile::TempDir,
    _task: AbortOnDropHandle<()>,
}

async fn server(simulation: Simulation) -> Server {
    let (gateway, folder) = gateway(simulation).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio_util::task::TaskTracker::new();
    let task = task.spawn(serve(listener, gateway, CancellationToken::new()));
    Server { address, _folder: folder, _task: AbortOnDropHandle::new(task) }
}

fn client(server: &Server) -> HttpGateway {
    HttpGateway::new(&format!("http://{}", server.address), &config()).unwrap()
}

#[tokio::test]
async fn the_http_gateway_keeps_the_contract() {
    let servers = std::cell::RefCell::new(Vec::new());
    conformance::payment_gateway(async || {
        let server = server(twice()).await;
        let client = client(&server);
        servers.borrow_mut().push(server);
        Arc::new(client) as Arc<dyn PaymentGateway>
    })
    .await;
}

/// Sends raw bytes and returns everything that comes back until the connection closes.
async fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn post(path: &str, key: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\nidempotency-key: {key}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn the_server_answers_in_problems() {
    let server = server(Simulation { latency_ms: 0, ..Simulation::default() }).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n");
    let body = |token: &str| format!(r#"{{"amount":100,"currency":"EUR","source":"{token}"}}"#);
    let charge = |key: &str, token: &str| post("/v1/charges", key, &body(token));
    let table = [
        (charge("bkg_1", "tok_good"), 200, "\"status\":\"succeeded\""),
        (charge("bkg_2", "tok_decline"), 402, "card_declined"),
        (charge("bkg_1", "tok_good").replace("100", "101"), 422, "idempotency_mismatch"),
        (charge("", "tok_good"), 400, "idempotency_key"),
        (charge("bkg_3", "tok good"), 400, "invalid_source"),
        (charge("bkg_3", "tok_good").replace(":100", ":-10"), 400, "invalid_amount"),
        (post("/v1/charges", "bkg_3", r#"{"amount":1,"colour":2}"#), 400, "malformed"),
        (post("/v1/charges", "bkg_3", &"x".repeat(20_000)), 413, "too_large"),
        (get("/v1/charges/bkg_1"), 200, "\"booking_id\":\"bkg_1\""),
        (get("/v1/charges/bkg_3"), 404, "not_found"),
        (get("/v1/charges?booking_id=bkg_1"), 200, "\"has_more\":false"),
        (get("/v1/charges?limit=1"), 200, "\"has_more\":true"),
        (get("/v1/charges?limit=0"), 400, "malformed"),
        (get("/v1/charges?starting_after=ch_x"), 400, "no_such_mark"),
        (get("/v1/refunds"), 200, "\"data\":[]"),
        (get("/v2/charges"), 404, "not_found"),
        (post("/v1/charges/bkg_1", "k", "{}"), 405, "method"),
    ];
    for (request, status, word) in table {
        let answer = raw(&server, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
        assert!(answer.contains(word), "{request}\n{answer}");
        assert!(!answer.contains("tok_"), "no answer repeats a payment token: {answer}");
    }
}

#[tokio::test]
async fn a_lost_reply_closes_the_connection_and_keeps_the_charge() {
    let server = server(Simulation { latency_ms: 0, ..Simulation::default() }).await;
    let body = r#"{"amount":100,"currency":"EUR","source":"tok_unknown"}"#;
    assert_eq!(raw(&server, &post("/v1/charges", "bkg_1", body)).await, "");
    let again = raw(&server, &post("/v1/charges", "bkg_1", body)).await;
    assert!(again.starts_with("HTTP/1.1 200 "), "{again}");
}

#[tokio::test]
async fn a_refund_whose_reply_is_lost_is_done_once() {
    let simulation = Simulation { latency_ms: 0, unknown: 1.0, ..Simulation::default() };
    let (gateway, _folder) = gateway(simulation).await;
    let booking = BookingId::parse("bkg_1").unwrap();
    let amount = Money::new(100, Currency::EUR);
    let payment_token = PaymentToken::parse("tok_good").unwrap();
    let charge = ChargeRequest { key: booking.clone(), amount, payment_token };
    let answer = gateway.charge(&charge).await.unwrap();
    let ChargeAnswer::Captured { charge_id, .. } = answer else { panic!("{answer:?}") };
    let key = RefundId::of(&booking, 1);
    let refund = RefundRequest { key, booking, charge_id, amount };
    assert!(gateway.refund(&refund).await.is_err(), "the first reply is lost");
    assert_eq!(gateway.refund(&refund).await.unwrap(), RefundAnswer::Done);
    assert_eq!(gateway.refunds(Cursor::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn the_gateway_log_never_changes_and_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let file = SqliteFile::open(&path, &MIGRATIONS).await.unwrap();
    let gateway = SimulatedGateway::new(twice(), file.clone(), Clock::System);
    let request = ChargeRequest {
        key: BookingId::parse("bkg_1").unwrap(),
        amount: Money::new(100, Currency::EUR),
        payment_token: PaymentToken::parse("tok_good").unwrap(),
    };
    gateway.charge(&request).await.unwrap();
    for statement in ["UPDATE charges SET amount_minor = 1", "DELETE FROM charges"] {
        let error = tampered(&file, statement).await.unwrap_err();
        assert!(format!("{error:?}").contains("append-only"), "{error:?}");
    }
    drop(gateway);
    file.close().await;
    let again = gateway_at(&path, twice(), Clock::System).await;
    assert_eq!(again.find(&request.key).await.unwrap().unwrap().amount, request.amount);
}

async fn tampered(file: &SqliteFile, statement: &'static str) -> Result<usize, StoreError> {
    file.write("tampering", move |connection| connection.execute(statement, ())).await
}

#[tokio::test]
async fn a_stopping_server_finishes_the_request_in_hand() {
    let (gateway, _folder) = gateway(Simulation { latency_ms: 0, ..Simulation::default() }).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let client = async {
        let body = r#"{"amount":100,"currency":"EUR","source":"tok_good"}"#;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(post("/v1/charges", "bkg_1", body).as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        // The charge is on record before its answer is sent, and the server may stop in between.
        while gateway.find(&BookingId::parse("bkg_1").unwrap()).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let server = serve(listener, gateway.clone(), shutdown.clone());
    let ((), answer) = tokio::join!(server, client);
    assert_eq!(answer, "HTTP/1.1 200");
}

/// Answers every connection with these bytes.
async fn canned(answer: String) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio_util::task::TaskTracker::new().spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let _folder = tempfile::tempdir().unwrap();
    Server { address, _folder, _task: AbortOnDropHandle::new(task) }
}

fn reply(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn anything_but_a_clear_answer_is_unknown() {
    let charge = |amount: i64| {
        let body = serde_json::json!({
            "id": "ch_1", "object": "charge", "booking_id": "bkg_1", "amount": amount,
            "currency": "EUR", "status": "succeeded", "failure_code": null, "received_at_ms": 1,
        });
        reply("200 OK", &body.to_string())
    };
    let table = [
        (charge(100), true),
        (charge(-1), false),
        (charge(100).replace("content-length: 1", "content-length: 2"), false),
        (reply("200 OK", "{}"), false),
        (reply("402 Payment Required", "<html>"), false),
        (reply("409 Conflict", "{}"), false),
        (reply("422 Unprocessable Content", "{}"), false),
        (reply("429 Too Many Requests", ""), false),
        (reply("500 Internal Server Error", ""), false),
        (String::new(), false),
    ];
    for (answer, clear) in table {
        let server = canned(answer.clone()).await;
        let gateway = client(&server);
        let booking = BookingId::parse("bkg_1").unwrap();
        let amount = Money::new(100, Currency::EUR);
        let payment_token = PaymentToken::parse("tok_good").unwrap();
        let charge = ChargeRequest { key: booking.clone(), amount, payment_token };
        assert_eq!(gateway.charge(&charge).await.is_ok(), clear, "{answer}");
        let key = RefundId::of(&booking, 1);
        let refund = RefundRequest { key, booking, charge_id: "ch_1".into(), amount };
        if !answer.contains("200 OK") {
            assert!(gateway.refund(&refund).await.is_err(), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_is_silent_or_not_there_is_an_error_in_bounded_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = payment_worker::Config { charge_timeout_ms: 20, ..config() };
    let gateway = HttpGateway::new(&format!("http://{address}"), &config).unwrap();
    let booking = BookingId::parse("bkg_1").unwrap();
    assert!(gateway.find(&booking).await.is_err(), "nobody answers");
    drop(listener);
    assert!(gateway.find(&booking).await.is_err(), "nobody is there");
}

#[tokio::test]
async fn the_whole_log_is_read_for_the_audit() {
    let server = server(twice()).await;
    let gateway = client(&server);
    let many = ledger::LIMIT_MAX + 5;
    let mut charging = tokio::task::JoinSet::new();
    for number in 0..many {
        let gateway = gateway.clone();
        charging.spawn(async move {
            let request = ChargeRequest {
                key: BookingId::parse(&format!("bkg_{number}")).unwrap(),
                amount: Money::new(100, Currency::EUR),
                payment_token: PaymentToken::parse("tok_good").unwrap(),
            };
            gateway.charge(&request).await.unwrap();
        });
    }
    charging.join_all().await;
    let log = payment_worker::gateway_log(&gateway).await.unwrap();
    assert_eq!(log.charges.len(), many as usize);
    assert!(log.charges.iter().all(|charge| charge.captured));
    assert!(log.refunds.is_empty());
}
