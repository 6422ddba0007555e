//! Several nodes on one stack: any node serves any request, limits hold over all of them, and the
//! death of one is nothing to the others.
use crate::harness::{Answer, Client, Node, PATIENCE};
use crate::sale::plain_event;
use crate::shared::{Fast, SharedSale};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

async fn two_nodes(sale: &SharedSale) -> [Node; 2] {
    let (a, b) = tokio::join!(sale.node("a"), sale.node("b"));
    [a, b]
}

/// Speaks to the node of `base` as the one whom `client` is.
fn at(client: &Client, node: &Node) -> Client {
    client.at(&node.base)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_a_purchase_is_served_by_another_node() {
    let sale = SharedSale::prepare(Fast::Redis).await;
    let [a, b] = two_nodes(&sale).await;
    let mut body = plain_event(10);
    body["queue"] = json!({"state": "paused"});
    let event = a.client().event(body).await;
    let queue = format!("/api/queue/{event}");
    b.client().get(&format!("/api/events/{event}")).await.expect(200);

    let ada = a.client().register("ada").await;
    let place = at(&ada, &b).post(&format!("{queue}/join"), json!({})).await.expect(201);
    let ada = ada.with("queue-token", place["token"].as_str().unwrap());
    let me = ada.get(&format!("{queue}/me")).await.expect(200);
    assert_eq!((&me["state"], &me["number"]), (&json!("waiting"), &place["number"]));
    let open = json!({"state": "open"});
    let admin = b.client().as_admin().await;
    admin.patch(&format!("/api/events/{event}/queue"), open).await.expect(200);
    let pass = pass_of(&ada, &queue).await;

    let ada = at(&ada, &b).with("admission-pass", &pass);
    let best = json!({"event_id": event, "best_available": {"quantity": 2}});
    let hold = ada.post("/api/tickets/lock", best).await.expect(200)["hold_id"].clone();
    let book = json!({"event_id": event, "hold_id": hold});
    let booked = at(&ada, &a).post("/api/tickets/book", book.clone()).await.expect(202);
    let again = ada.post("/api/tickets/book", book).await.expect(202);
    assert_eq!(booked["booking_id"], again["booking_id"]);
    let booking = ada.settled(booked["booking_id"].as_str().unwrap()).await;
    assert_eq!(booking["status"], "confirmed", "{booking}");

    let ticket = booking["tickets"][0]["ticket_id"].as_str().unwrap();
    let ticket = at(&ada, &a).get(&format!("/api/tickets/{ticket}")).await.expect(200);
    let shown = json!({"ticket": ticket["ticket"]});
    a.client().register("gate").await;
    assert!(sale.verb(&["account", "role", "gate", "gate"]).await.status.success());
    let gate = b.client().login("gate", "correct horse").await;
    let scan = |node: &Node| {
        let gate = gate.at(&node.base);
        let shown = shown.clone();
        async move { gate.post("/api/tickets/verify", shown).await.expect(200)["result"].clone() }
    };
    assert_eq!((scan(&b).await, scan(&a).await), (json!("valid"), json!("used")));
    end(sale, [a, b]).await;
}

/// Drains the nodes one after the other; nothing may be broken then.
async fn end(sale: SharedSale, nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        assert!(node.stop().await.success());
    }
    sale.assert_audit_holds().await;
    sale.remove().await;
}

/// As [`end`], where people were admitted and nothing was sold.
async fn end_of_queue(sale: SharedSale, nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        assert!(node.stop().await.success());
    }
    sale.assert_queue_audit_holds().await;
    sale.remove().await;
}

/// Claims until the pass is granted.
async fn pass_of(client: &Client, queue: &str) -> String {
    let claim = async {
        loop {
            let answer = client.post(&format!("{queue}/pass"), json!({})).await;
            if answer.status == 200 {
                return answer.json()["pass"].as_str().unwrap().to_owned();
            }
            answer.expect(202);
        }
    };
    timeout(PATIENCE, claim).await.expect("the pass is granted")
}

/// So many are in the shop at once, however many nodes let them in.
const CAPACITY: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capacity_and_rate_hold_over_all_nodes() {
    let sale = SharedSale::prepare(Fast::Redis).await;
    let nodes = two_nodes(&sale).await;
    let mut body = plain_event(40);
    body["queue"] = json!({"state": "paused", "rate_per_minute": 600, "capacity": CAPACITY});
    let event = nodes[0].client().event(body).await;
    let queue = format!("/api/queue/{event}");
    let mut people = Vec::new();
    let mut numbers = BTreeSet::new();
    for (n, token) in sale.mint(30).await.iter().enumerate() {
        let one = nodes[n % 2].client().logged_in(token);
        let place = one.post(&format!("{queue}/join"), json!({})).await.expect(201);
        assert!(numbers.insert(place["number"].as_u64().unwrap()), "a number was given twice");
        people.push(one.with("queue-token", place["token"].as_str().unwrap()));
    }
    let admin = nodes[1].client().as_admin().await;
    let open = json!({"state": "open"});
    admin.patch(&format!("/api/events/{event}/queue"), open).await.expect(200);
    let inside = fill(&people, &nodes, &queue).await;
    for (n, one) in people.iter().enumerate() {
        for node in nodes.iter().filter(|_| !inside.contains(&n)) {
            at(one, node).post(&format!("{queue}/pass"), json!({})).await.expect(202);
        }
    }
    // Everyone leaves as soon as he was in, by the other node, and so all come through.
    let mut asking = JoinSet::new();
    for (n, one) in people.into_iter().enumerate() {
        let (queue, inside) = (queue.clone(), inside.contains(&n));
        let (here, there) = (at(&one, &nodes[n % 2]), at(&one, &nodes[(n + 1) % 2]));
        asking.spawn(async move {
            if !inside {
                pass_of(&here, &queue).await;
            }
            assert_eq!(there.delete(&format!("{queue}/me")).await.status, 204);
        });
    }
    while let Some(done) = asking.join_next().await {
        done.unwrap();
    }
    // Of I10 and I11 the audit knows each moment.
    end_of_queue(sale, nodes).await;
}

/// Lets people claim by turns at both nodes until the shop is full; who is in.
async fn fill(people: &[Client], nodes: &[Node], queue: &str) -> BTreeSet<usize> {
    let mut inside = BTreeSet::new();
    let claim = async {
        for turn in 0.. {
            for (n, one) in people.iter().enumerate().filter(|(n, _)| (n + turn) % 3 == 0) {
                let node = &nodes[(n + turn) % 2];
                let answer = at(one, node).post(&format!("{queue}/pass"), json!({})).await;
                if answer.status == 200 {
                    inside.insert(n);
                }
            }
            if inside.len() >= CAPACITY {
                return;
            }
        }
    };
    timeout(PATIENCE, claim).await.expect("the shop fills");
    assert_eq!(inside.len(), CAPACITY, "more are in than there is room for");
    inside
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_a_node_in_the_middle_of_a_sale_loses_nothing() {
    a_node_dies(Fast::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_a_redis_cluster() {
    a_node_dies(Fast::Cluster).await;
}

const SEATS: usize = 40;

async fn a_node_dies(fast: Fast) {
    let sale = SharedSale::prepare(fast).await;
    let [a, b] = two_nodes(&sale).await;
    let event = a.client().event(plain_event(u32::try_from(SEATS).unwrap())).await;
    let accepted = watch::Sender::new(0usize);
    let mut buyers = JoinSet::new();
    for (n, token) in sale.mint(SEATS + 20).await.into_iter().enumerate() {
        let both = [&a.base, &b.base].map(|base| Client::new(base).logged_in(&token));
        let buyer = Buyer { both, turn: n, event: event.clone() };
        buyers.spawn(buyer.buy(accepted.clone()));
    }
    let mut count = accepted.subscribe();
    timeout(PATIENCE, count.wait_for(|now| *now >= SEATS / 4)).await.expect("progress").unwrap();
    b.kill().await;
    let mut ends = Vec::new();
    while let Some(end) = buyers.join_next().await {
        ends.push(end.unwrap());
    }
    let bought = ends.into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(bought.len(), SEATS, "every seat is sold, and none twice");
    for (buyer, booking) in bought {
        let end = buyer.both[0].settled(&booking).await;
        assert_eq!(end["status"], "confirmed", "{end}");
    }
    end(sale, [a]).await;
}

/// Buys one seat from whichever node is alive.
struct Buyer {
    both: [Client; 2],
    turn: usize,
    event: String,
}

impl Buyer {
    /// The booking that was accepted; none once everything is sold.
    async fn buy(mut self, accepted: watch::Sender<usize>) -> Option<(Self, String)> {
        let wish = json!({"event_id": self.event, "best_available": {"quantity": 1}});
        let hold = self.retry_until_ok("/api/tickets/lock", &wish).await;
        if hold.status == 409 {
            assert_eq!(hold.json()["code"], "sold_out");
            return None;
        }
        let book = json!({"event_id": self.event, "hold_id": hold.expect(200)["hold_id"]});
        let booked = self.retry_until_ok("/api/tickets/book", &book).await.expect(202);
        accepted.send_modify(|count| *count += 1);
        let booking = booked["booking_id"].as_str().unwrap().to_owned();
        Some((self, booking))
    }

    fn client(&self) -> &Client {
        &self.both[self.turn % 2]
    }

    /// The same request under the same key, to the other node when one is dead or cannot say.
    async fn retry_until_ok(&mut self, path: &str, body: &Value) -> Answer {
        let ask = async {
            loop {
                let keyed = self.client().with("idempotency-key", path);
                match keyed.try_send(Method::POST, path, Some(body.clone())).await {
                    Ok(answer) if answer.status != 503 => return answer,
                    Ok(_) | Err(_) => self.turn += 1,
                }
            }
        };
        timeout(PATIENCE, ask).await.expect("a node answers")
    }
}
