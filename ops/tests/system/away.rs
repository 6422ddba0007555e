//! A server that is missing: at the start, or later.
use crate::harness::{Client, Node, PATIENCE, serve_refuses};
use crate::sale::plain_event;
use crate::shared::{Fast, SharedSale};
use http::StatusCode;
use serde_json::json;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Where nobody listens.
const NOWHERE: &str = "127.0.0.1:1";

#[tokio::test]
async fn a_server_that_is_missing_at_the_start_is_named() {
    let sale = SharedSale::prepare(Fast::Redis).await;
    let table = [
        ("BOOKS", format!("postgres://tidegate@{NOWHERE}/none")),
        ("BOOKINGS", format!("kafka://{NOWHERE}")),
        ("VIEWS", format!("scylla://{NOWHERE}/none")),
        ("QUEUE", format!("redis://{NOWHERE}")),
        ("SEATS", format!("redis-cluster://{NOWHERE}")),
    ];
    let data = sale.data("a");
    for (store, address) in table {
        let variable = format!("TIDEGATE_STORES_{store}");
        let impatient = ("TIDEGATE_LEDGER_KAFKA_REQUEST_TIMEOUT_MS", "1000");
        let variables = [(variable.as_str(), address.as_str()), impatient];
        let words = format!("stores.{}", store.to_lowercase());
        serve_refuses(&data, &["--config", sale.config()], &variables, 1, &words).await;
    }
    sale.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_visitors_are_told_to_come_back() {
    let sale = SharedSale::prepare(Fast::Redis).await;
    let (mut way, books) = Way::to(&sale.servers().books).await;
    let node = sale.node_by("a", &[("TIDEGATE_STORES_BOOKS", &books)]).await;
    away_and_back(&sale, node, &mut way, "books").await;
    sale.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_visitors_are_told_to_come_back() {
    let sale = SharedSale::prepare(Fast::Redis).await;
    let (mut way, redis) = Way::to(&redis_client::testing::single()).await;
    let node = sale.node_by("a", &[("TIDEGATE_STORES_SEATS", &redis)]).await;
    away_and_back(&sale, node, &mut way, "seats").await;
    sale.remove().await;
}

/// Cuts the way, sees refusals, mends it, and buys.
async fn away_and_back(sale: &SharedSale, node: Node, way: &mut Way, store: &str) {
    let event = node.client().event(plain_event(4)).await;
    let ada = node.client().register("ada").await;
    let operator = Client::new(&node.admin);
    until_ready(&operator, "ready").await;

    way.cut().await;
    until_ready(&operator, store).await;
    let wish = json!({"event_id": event, "seat_number": 2});
    let asked = Instant::now();
    let refused = ada.post("/api/tickets/lock", wish.clone()).await;
    assert!(asked.elapsed() < PATIENCE / 12, "a known failure is answered at once");
    let problem = refused.expect(503);
    assert_eq!(problem["code"], "unavailable");
    assert!(refused.header("retry-after").is_some());
    operator.get("/livez").await.expect_text(200);

    way.mend().await;
    until_ready(&operator, "ready").await;
    let lock = async {
        loop {
            let answer = ada.post("/api/tickets/lock", wish.clone()).await;
            // While the seats are not known the waiting room lets nobody straight through.
            if !matches!(answer.status.as_u16(), 403 | 503) {
                return answer;
            }
        }
    };
    timeout(PATIENCE, lock).await.expect("it recovers by itself").expect(200);
    let booked = ada.post("/api/tickets/book", wish).await.expect(202);
    let booking = ada.settled(booked["booking_id"].as_str().unwrap()).await;
    assert_eq!(booking["status"], "confirmed");
    assert!(node.stop().await.success());
    sale.assert_audit_holds().await;
}

/// Waits until the node says `word`: that it is ready, or what is away.
async fn until_ready(operator: &Client, word: &str) {
    let look = async {
        loop {
            let answer = operator.get("/readyz").await;
            let said = String::from_utf8_lossy(&answer.body);
            let ready = word == "ready";
            if said.contains(word) && ready == (answer.status == StatusCode::OK) {
                return;
            }
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("/readyz never says {word}"));
}

/// A way to a shared server that one test alone can cut.
pub(crate) struct Way {
    near: SocketAddr,
    far: String,
    open: Option<JoinSet<()>>,
}

impl Way {
    /// The way, and the server's URL by it.
    pub(crate) async fn to(url: &str) -> (Self, String) {
        let authority = url.split("://").nth(1).unwrap().split(['/', '?']).next().unwrap();
        let far = authority.rsplit('@').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap();
        let url = url.replace(&far, &near.to_string());
        (Self { near, open: Some(carry(listener, far.clone())), far }, url)
    }

    /// Every connection ends, and none is made.
    pub(crate) async fn cut(&mut self) {
        self.open.take().expect("it is open").shutdown().await;
    }

    async fn mend(&mut self) {
        let listener = TcpListener::bind(self.near).await.unwrap();
        self.open = Some(carry(listener, self.far.clone()));
    }
}

fn carry(listener: TcpListener, far: String) -> JoinSet<()> {
    let mut open = JoinSet::new();
    open.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let far = far.clone();
            connections.spawn(async move {
                let mut far = TcpStream::connect(far).await.unwrap();
                // Either side may end it.
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    open
}
