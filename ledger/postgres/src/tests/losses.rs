//! Lost connections, lost answers, a server that is gone or silent: what callers hear, and that
//! what they hear is true.
use super::wire::{Cut, Wire};
use super::{Rival, begin, open};
use crate::testing::{BOUNDS, TestPostgres, postgres};
use crate::{PgBounds, PgPurchases};
use ledger::StoreError;
use ledger::books::{Begun, PurchaseReads, Purchases, Settlement};
use ledger::conformance::sample::{NOW, SampleEvent};
use ledger::purchase::ChargeResult;
use std::time::Duration;

async fn wired(bounds: PgBounds) -> (TestPostgres, Wire, PgPurchases) {
    let schema = postgres().await;
    let (wire, url) = Wire::to(&schema.url).await;
    let books = open(&url, bounds).await;
    (schema, wire, books)
}

fn detail(error: &StoreError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    source.unwrap_or_default()
}

#[tokio::test]
async fn a_commit_without_an_answer_is_unknown_and_can_be_read_back() {
    let (schema, wire, books) = wired(BOUNDS).await;
    let event = SampleEvent::default();
    for (cut, place, there, again) in
        [(Cut::Commit, "a-1", false, "charge"), (Cut::Answer, "a-2", true, "resolve")]
    {
        let command = event.place(&[place]);
        wire.arm(cut);
        let lost = books.begin(std::slice::from_ref(&command), NOW).await;
        assert!(lost.as_ref().is_err_and(StoreError::is_unknown), "{cut:?}: {lost:?}");
        wire.arm(Cut::Nothing);
        let found = books.purchase(&command.booking_id).await.unwrap();
        assert_eq!(found.is_some(), there, "{cut:?}");
        assert_eq!(begin(&books, std::slice::from_ref(&command)).await, [again], "{cut:?}");

        let (booking_id, amount) = (command.booking_id.clone(), command.total);
        let result = ChargeResult::Captured { charge_id: "ch_1".into(), amount };
        let settlement = [Settlement { booking_id, result }];
        wire.arm(cut);
        let lost = books.settle(&settlement, NOW).await;
        assert!(lost.as_ref().is_err_and(StoreError::is_unknown), "{cut:?}: {lost:?}");
        wire.arm(Cut::Nothing);
        let news = books.settle(&settlement, NOW).await.unwrap();
        assert_eq!(news.is_empty(), there, "{cut:?}: the answer is written once");
    }
    let transfers = "SELECT FROM transfers";
    assert_eq!(schema.tamper(transfers).await.unwrap(), 2);
    schema.drop_schema().await;
}

#[tokio::test]
async fn a_session_that_is_ended_before_its_commit_did_nothing() {
    let (schema, _wire, books) = wired(BOUNDS).await;
    let event = SampleEvent::default();
    let mut rival = Rival::claims(&schema, &event.place(&["a-1"])).await;
    let command = event.place(&["a-1"]);
    let batch = std::slice::from_ref(&command);
    let (begun, ()) = tokio::join!(books.begin(batch, NOW), async {
        let pid = rival.awaited().await;
        schema.tamper(&format!("SELECT pg_terminate_backend({pid})")).await.unwrap();
    });
    assert!(begun.as_ref().is_err_and(StoreError::is_retryable), "{begun:?}");
    assert_eq!(books.purchase(&command.booking_id).await.unwrap(), None);
    rival.end("ROLLBACK").await;
    assert_eq!(begin(&books, batch).await, ["charge"]);
    schema.drop_schema().await;
}

#[tokio::test]
async fn waiting_too_long_is_unavailable() {
    let schema = postgres().await;
    let event = SampleEvent::default();
    schema.store().await.close().await;
    let mut rival = Rival::claims(&schema, &event.place(&["a-1"])).await;
    let command = [event.place(&["a-1"])];
    for (bounds, says) in [
        (PgBounds { lock_timeout_ms: 50, ..BOUNDS }, "lock timeout"),
        (PgBounds { statement_timeout_ms: 100, ..BOUNDS }, "statement timeout"),
    ] {
        let books = open(&schema.url, bounds).await;
        let refused = books.begin(&command, NOW).await.unwrap_err();
        assert!(refused.is_retryable() && detail(&refused).contains(says), "{refused:?}");
    }
    // Every connection is busy waiting: the next caller is refused in its own time.
    let bounds = PgBounds { connections_max: 1, acquire_timeout_ms: 100, ..BOUNDS };
    let books = open(&schema.url, bounds).await;
    let (begun, ()) = tokio::join!(books.begin(&command, NOW), async {
        rival.awaited().await;
        let refused = books.purchase(&command[0].booking_id).await.unwrap_err();
        assert!(refused.is_retryable(), "{refused:?}");
        rival.end("ROLLBACK").await;
    });
    assert!(matches!(begun.unwrap()[..], [Begun::Charge(_)]));
    schema.drop_schema().await;
}

#[tokio::test]
async fn a_server_that_is_gone_refuses_at_once_and_comes_back() {
    let bounds = PgBounds { acquire_timeout_ms: 200, ..BOUNDS };
    let (schema, mut wire, books) = wired(bounds).await;
    let event = SampleEvent::default();
    assert_eq!(begin(&books, &[event.place(&["a-1"])]).await, ["charge"]);
    wire.down().await;
    let command = [event.place(&["a-2"])];
    // A call on a connection that was open, and one that cannot get another.
    let said = async || {
        let refused = books.begin(&command, NOW).await.unwrap_err();
        assert!(refused.is_retryable(), "{refused:?}");
        detail(&refused)
    };
    while !said().await.contains("out of reach") {}
    wire.up().await;
    let mut refused = 0;
    while books.begin(&command, NOW).await.is_err() {
        refused += 1;
        assert!(refused < 1_000, "it never came back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(begin(&books, &command).await, ["resolve"]);
    schema.drop_schema().await;
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_its_connections_with_it() {
    let bounds = PgBounds {
        acquire_timeout_ms: 400,
        statement_timeout_ms: 150,
        connections_max: 2,
        ..BOUNDS
    };
    let (schema, wire, books) = wired(bounds).await;
    let event = SampleEvent::default();
    assert_eq!(begin(&books, &[event.place(&["a-1"])]).await, ["charge"]);
    wire.arm(Cut::Silence);
    let commands = ["a-2", "a-3", "a-4"].map(|place| event.place(&[place]));
    let calls = commands.iter().map(|c| books.begin(std::slice::from_ref(c), NOW));
    for refused in futures_util::future::join_all(calls).await {
        assert!(refused.as_ref().is_err_and(StoreError::is_retryable), "{refused:?}");
    }
    wire.arm(Cut::Nothing);
    assert_eq!(begin(&books, &commands).await, ["charge"; 3]);
    schema.drop_schema().await;
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_no_transaction_behind() {
    let schema = postgres().await;
    let event = SampleEvent::default();
    // Nobody would wait as long as a statement may that waits for the rival.
    let bounds = PgBounds {
        connections_max: 1,
        acquire_timeout_ms: 5_000,
        lock_timeout_ms: 60_000,
        statement_timeout_ms: 60_000,
    };
    let books = open(&schema.url, bounds).await;
    let mut rival = Rival::claims(&schema, &event.place(&["a-1"])).await;
    let command = [event.place(&["a-1"])];
    {
        let call = books.begin(&command, NOW);
        tokio::select! {
            _ = call => panic!("the rival has not ended"),
            _ = rival.awaited() => {}
        }
    }
    // The only connection is free again, outside any transaction.
    assert_eq!(begin(&books, &[event.place(&["a-2"])]).await, ["charge"]);
    assert_eq!(books.purchase(&command[0].booking_id).await.unwrap(), None);
    rival.end("ROLLBACK").await;
    assert_eq!(begin(&books, &command).await, ["charge"]);
    schema.drop_schema().await;
}
