//! The seat map: its JSON, its age, its version.
use super::venue;
use crate::{Availability, LockRequest, Wish};
use ledger::{EventId, SectionId};
use std::time::Duration;

#[tokio::test]
async fn the_map_is_what_the_contract_says() {
    let venue = venue().await;
    venue.held(&venue.account(), &[1, 2]).await;
    let floor = SectionId::parse("floor").unwrap();
    let request = LockRequest {
        event: venue.event.clone(),
        account: venue.account(),
        slot: None,
        wish: Wish::Best { quantity: 3, section: Some(floor) },
        together: true,
        key: None,
    };
    venue.seats.lock(request).await.unwrap();
    let shown = venue.seats.seats(&venue.event.id).await.unwrap().unwrap();
    let body = String::from_utf8(shown.body.clone()).unwrap();
    let version = shown.etag.trim_matches('"');
    let stalls = format!(".hh{}", ".".repeat(47));
    let expected = format!(
        r#"{{"version":{version},"layout_version":1,"sections":{{"stalls":"{stalls}","floor":47}}}}"#
    );
    assert_eq!(body, expected);
    assert_eq!((shown.available, shown.sold_out), (95, false));
    let availability = venue.seats.availability(&venue.event.id).await.unwrap().unwrap();
    let price_from = venue.event.layout.price_of(0);
    let expected = Availability { free: 95, held: 5, paying: 0, sold: 0, price_from };
    assert_eq!(availability, expected);
}

#[tokio::test]
async fn the_map_is_shared_until_it_is_old_and_changed() {
    let venue = venue().await;
    let id = &venue.event.id;
    let first = venue.seats.seats(id).await.unwrap().unwrap();
    venue.held(&venue.account(), &[0]).await;
    let young = venue.seats.seats(id).await.unwrap().unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &young), "not older than it may be");
    venue.clock.advance(Duration::from_millis(1));
    let second = venue.seats.seats(id).await.unwrap().unwrap();
    assert_ne!(first.etag, second.etag);
    venue.clock.advance(Duration::from_millis(1));
    let same = venue.seats.seats(id).await.unwrap().unwrap();
    assert!(std::sync::Arc::ptr_eq(&second, &same), "nothing changed");
}

#[tokio::test]
async fn versions_grow_over_a_restart() {
    let mut venue = venue().await;
    let version = |body: &[u8]| {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body["version"].as_u64().unwrap()
    };
    venue.held(&venue.account(), &[0]).await;
    let before = venue.seats.seats(&venue.event.id).await.unwrap().unwrap();
    venue.restart();
    let after = venue.seats.seats(&venue.event.id).await.unwrap().unwrap();
    assert!(version(&after.body) > version(&before.body));
}

#[tokio::test]
async fn an_unknown_event_has_nothing_to_show() {
    let venue = venue().await;
    let unknown = EventId::parse("evt_unknown").unwrap();
    assert_eq!(venue.seats.seats(&unknown).await.unwrap(), None);
    assert_eq!(venue.seats.availability(&unknown).await.unwrap(), None);
    assert!(venue.seats.holds(&unknown, &venue.account()).await.unwrap().is_empty());
    let hold = venue.ids.hold(&unknown, venue.clock.now());
    assert_eq!(venue.seats.hold(&hold).await.unwrap(), None);
}
