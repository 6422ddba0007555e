//! What the audit reads of Postgres, and the guards that keep the record from being rewritten.
use super::PgStore;
use crate::testing::{TestPostgres, postgres};
use crate::{PgAuditReads, open_books};
use ledger::audit::{Finding, Invariant, Sources, audit};
use ledger::books::{AuditReads, Books};
use ledger::conformance::sample::{NOW, SampleEvent};
use ledger::conformance::{self, purchases};
use ledger::{Cursor, QueueSettings};

/// A schema in which something of everything happened.
async fn lived_in() -> (TestPostgres, PgStore, Books) {
    let schema = postgres().await;
    let store = schema.store().await;
    let books = open_books(&store);
    let event = conformance::events::sample_event();
    books.events.create(&event, Some(QueueSettings::default())).await.unwrap();
    conformance::admissions::leave_traces(&books, &event.queue_id).await;
    purchases::leave_traces(&books, &SampleEvent::default()).await;
    (schema, store, books)
}

#[tokio::test]
async fn no_statement_changes_the_facts() {
    let (schema, store, books) = lived_in().await;
    let reads = PgAuditReads::new(store.clone());
    let guards = reads.guards().await.unwrap();
    assert_eq!(guards.len(), 18);
    assert!(guards.iter().all(|guard| guard.stands), "{guards:?}");
    for sql in [
        "DELETE FROM admissions",
        "TRUNCATE admissions",
        "TRUNCATE ticket_uses",
        "UPDATE admissions SET until = until + 1",
        "UPDATE admissions SET at = at - 1",
        "UPDATE admissions SET account_id = 'mallory'",
        "UPDATE admissions SET number = number + 100",
        "UPDATE admissions SET source = 'straight_through'",
        "UPDATE admissions SET ended_at = NULL WHERE ended_at IS NOT NULL",
        "UPDATE admissions SET ended_at = 1 WHERE ended_at IS NOT NULL",
        "DELETE FROM queue_steps",
        "UPDATE queue_steps SET at = 0",
        "DELETE FROM queue_limits",
        "UPDATE queue_limits SET capacity = 0",
        "UPDATE transfers SET at = 0",
        "DELETE FROM transfers",
        "TRUNCATE transfers, legs",
        "UPDATE legs SET minor = 0",
        "DELETE FROM legs",
        // A second owner of a place, and a second capture of a booking.
        "INSERT INTO claims (event_id, place, booking_id, account_id, state)
         SELECT event_id, place, booking_id, account_id, state FROM claims
         WHERE released_at IS NULL LIMIT 1",
        "INSERT INTO transfers (cause, kind, at) SELECT cause, kind, at FROM transfers LIMIT 1",
        "UPDATE account_seats SET seats = -1",
    ] {
        assert!(schema.tamper(sql).await.is_err(), "{sql}");
    }
    assert!(schema.tamper("UPDATE tickets SET used_at = 1").await.unwrap() > 0);
    drop(books);
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test]
async fn a_guard_that_was_tampered_with_does_not_stand() {
    let (schema, store, _) = lived_in().await;
    let reads = PgAuditReads::new(store.clone());
    for (sql, falls) in [
        ("ALTER TABLE legs DISABLE TRIGGER legs_kept", "delete of legs"),
        ("ALTER TABLE transfers ENABLE TRIGGER transfers_facts", "update of transfers"),
        ("DROP TRIGGER queue_steps_whole ON queue_steps", "truncate of queue_steps"),
        (
            "CREATE OR REPLACE FUNCTION refuse_new_facts() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN RETURN NEW; END$$",
            "update of admissions",
        ),
    ] {
        schema.tamper(sql).await.unwrap();
        let guards = reads.guards().await.unwrap();
        let guard = guards.iter().find(|guard| guard.refuses == falls).unwrap();
        assert!(!guard.stands, "{sql}");
    }
    assert_eq!(reads.guards().await.unwrap().iter().filter(|guard| guard.stands).count(), 14);
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test]
async fn the_audit_of_a_sound_record_finds_nothing_and_of_another_what_is_wrong() {
    let (schema, store, books) = lived_in().await;
    let broken = async || {
        let sources = Sources { books: &books, gateway: None, seats: &[] };
        let findings = audit(sources, NOW).await.unwrap();
        let broken = findings.into_iter().filter(Finding::is_broken);
        broken.map(|finding| finding.invariant).collect::<Vec<_>>()
    };
    assert_eq!(broken().await, []);
    schema.tamper("UPDATE account_seats SET seats = seats + 1").await.unwrap();
    assert_eq!(broken().await, [Invariant::I13]);
    store.close().await;
    schema.drop_schema().await;
}

#[tokio::test]
async fn pages_hold_every_row_once() {
    let (schema, store, books) = lived_in().await;
    purchases::check_all(&books).await;
    let reads = PgAuditReads::new(store.clone());
    let (mut seen, mut after) = (0, None);
    loop {
        let page = reads.claims(Cursor { after, limit: 3 }).await.unwrap();
        seen += page.items.len() as u64;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(schema.tamper("SELECT FROM claims").await.unwrap(), seen);
    let (mut legs, mut after) = (0, None);
    loop {
        let page = reads.transfers(Cursor { after, limit: 3 }).await.unwrap();
        legs += page.items.iter().map(|record| record.legs.len() as u64).sum::<u64>();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(schema.tamper("SELECT FROM legs").await.unwrap(), legs);
    store.close().await;
    schema.drop_schema().await;
}
