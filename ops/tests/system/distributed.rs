//! The same sale on the shared servers.
use crate::sale::{buy_each_seat_four_times, plain_event};
use crate::shared::{Fast, SharedSale};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_shared_records_sells_what_there_is_and_loses_nothing_when_killed() {
    let sale = SharedSale::prepare(Fast::Local).await;
    let node = sale.node("a").await;
    let event = node.client().event(plain_event(50)).await;
    let tokens = sale.mint(200).await;
    buy_each_seat_four_times(&node.client(), &event, &tokens, 50).await;
    node.kill().await;

    let node = sale.node("a").await;
    let ada = node.client().register("ada").await;
    let wish = json!({"event_id": event, "best_available": {"quantity": 1}});
    let refused = ada.post("/api/tickets/lock", wish).await.expect(409);
    assert_eq!(refused["code"], "sold_out");
    assert!(node.stop().await.success());
    sale.assert_audit_holds().await;
    sale.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_rebuilt_from_the_books() {
    let sale = SharedSale::prepare(Fast::Local).await;
    let node = sale.node("a").await;
    let event = node.client().event(plain_event(4)).await;
    let ada = node.client().register("ada").await;
    let seat = json!({"event_id": event, "seat_number": 3});
    ada.post("/api/tickets/lock", seat.clone()).await.expect(200);
    let booked = ada.post("/api/tickets/book", seat).await.expect(202);
    let settled = ada.settled(booked["booking_id"].as_str().unwrap()).await;
    assert_eq!(settled["status"], "confirmed");
    assert!(node.stop().await.success());

    sale.servers().lose_views().await;
    let replayed = sale.verb(&["replay", "--views"]).await;
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    assert_eq!(String::from_utf8_lossy(&replayed.stdout), "1 bookings\n");
    let node = sale.node("a").await;
    let ada = node.client().login("ada", "correct horse").await;
    let listed = ada.get("/api/bookings").await.expect(200);
    assert_eq!(listed["items"][0]["id"], settled["id"], "{listed}");
    assert!(node.stop().await.success());
    sale.assert_audit_holds().await;
    sale.remove().await;
}
