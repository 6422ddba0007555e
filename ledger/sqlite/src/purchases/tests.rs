//! The purchases' contract on SQLite, and what the file itself refuses.
use super::*;
use crate::open_books;
use crate::tests::{count, crashed, open, tamper};
use ledger::conformance::purchases::{check_all, check_survived, leave_traces};
use ledger::conformance::sample::SampleEvent;

#[tokio::test]
async fn purchases_keep_their_contract() {
    let dir = tempfile::tempdir().unwrap();
    check_all(&open_books(&open(&dir).await)).await;
}

#[tokio::test]
async fn audit_reads_keep_their_contract() {
    let dir = tempfile::tempdir().unwrap();
    ledger::conformance::audit::check_all(&open_books(&open(&dir).await)).await;
}

#[tokio::test]
async fn purchases_survive_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let event = SampleEvent::default();
    let alive = open_books(&open(&dir).await);
    let left = leave_traces(&alive, &event).await;
    let rest = crashed(&dir);
    let found = open_books(&open(&rest).await);
    check_survived(&found, &event, &left).await;
}

#[tokio::test]
async fn the_file_refuses_what_must_never_be() {
    let dir = tempfile::tempdir().unwrap();
    let file = open(&dir).await;
    leave_traces(&open_books(&file), &SampleEvent::default()).await;
    for sql in [
        "UPDATE transfers SET at = 0",
        "DELETE FROM transfers",
        "UPDATE legs SET minor = 0",
        "DELETE FROM legs",
        // A second owner of a place, and a second capture of a booking.
        "INSERT INTO claims (event_id, place, booking_id, account_id, state, revision) \
         SELECT event_id, place, booking_id, account_id, state, revision FROM claims \
         WHERE released_at IS NULL LIMIT 1",
        "INSERT INTO transfers SELECT * FROM transfers LIMIT 1",
        "UPDATE account_seats SET seats = -1",
    ] {
        let refused = tamper(&file, sql).await;
        assert!(matches!(refused, Err(StoreError::Broken { .. })), "{sql}: {refused:?}");
    }
    tamper(&file, "UPDATE tickets SET used_at = 1").await.unwrap();
}

#[tokio::test]
async fn the_legs_of_each_transfer_sum_to_zero_and_seats_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let file = open(&dir).await;
    check_all(&open_books(&file)).await;
    let uneven = "SELECT count(*) FROM (SELECT 1 FROM legs GROUP BY cause, kind, currency \
                  HAVING sum(minor) <> 0)";
    assert_eq!(count(&file, uneven).await, 0);
    assert!(count(&file, "SELECT count(*) FROM legs WHERE kind = 'refund'").await > 0);
    let miscounted = "SELECT count(*) FROM account_seats AS a WHERE seats <> (SELECT count(*) \
                      FROM claims AS c WHERE c.event_id = a.event_id \
                      AND c.account_id = a.account_id AND c.released_at IS NULL)";
    assert_eq!(count(&file, miscounted).await, 0);
    assert!(count(&file, "SELECT count(*) FROM account_seats WHERE seats > 0").await > 0);
}
