//! The development stack as `ops/dev/up` leaves it, with the configuration that stands beside it.
use crate::harness::{Client, Node, tidegate};
use crate::sale::plain_event;
use serde_json::json;
use std::path::Path;

const PASSWORD: &str = "an admin's long password";

/// An admin of this test alone: what others sold on the stack stays as it is.
async fn node(data: &Path, admin: &str) -> Node {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("dev/tidegate.toml");
    assert!(
        Path::new("/tmp/tidegate-dev/keys.json").exists(),
        "the development stack is not up: run `ops/dev/up`"
    );
    let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let named = ["serve", "--config", config.to_str().unwrap()];
    let mut command = tidegate(data, &[&named[..], &ports[..]].concat());
    command.env("TIDEGATE_ADMIN_USERNAME", admin).env("TIDEGATE_ADMIN_PASSWORD", PASSWORD);
    Node::run(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_sells_by_any_number_of_nodes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let admin = format!("admin-{:016x}", ledger::IdSource::system().random());
    let data = ["one", "other"].map(|name| folder.path().join(name));
    let (one, other) = tokio::join!(node(&data[0], &admin), node(&data[1], &admin));
    let operator = one.client().login(&admin, PASSWORD).await;
    let event = operator.post("/api/events", plain_event(3)).await.expect(201);
    let buyer = one.client().register(&format!("buyer-{admin}")).await;
    for (seat, node) in [(1, &one), (2, &other)] {
        let buyer: Client = buyer.at(&node.base);
        let wish = json!({"event_id": event["id"], "seat_number": seat});
        buyer.post("/api/tickets/lock", wish.clone()).await.expect(200);
        let booked = buyer.post("/api/tickets/book", wish).await.expect(202);
        let booking = buyer.settled(booked["booking_id"].as_str().unwrap()).await;
        assert_eq!(booking["status"], "confirmed", "{booking}");
    }
    assert!(one.stop().await.success() && other.stop().await.success());
}
