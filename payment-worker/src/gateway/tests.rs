//! Both gateways under the one contract, and what is particular to each.
use super::*;
use crate::conformance;
use crate::testing::{config, gateway, gateway_at};
use ledger::sqlite::SqliteFile;
use ledger::{Clock, StoreError};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

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
    let amount = Money::new(100, ledger::Currency::EUR);
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
        amount: Money::new(100, ledger::Currency::EUR),
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

async fn tampered(file: &SqliteFile, statement: &'static str) -> Result<(), StoreError> {
    file.write("tampering", move |connection| {
        Box::pin(async move { sqlx::query(statement).execute(connection).await.map(drop) })
    })
    .await
}
