//! The contract of [`SeatJournal`]: the last row of each hold that is not over, after any crash.
use super::sample::SampleEvent;
use crate::ids::{EventId, HoldId};
use crate::journal::{JournalEntry, SeatJournal};
use futures_util::future::join_all;
use std::sync::Arc;

/// Runs the whole contract.
pub async fn check_all(journal: Arc<dyn SeatJournal>) {
    let journal = journal.as_ref();
    the_last_row_of_a_hold_counts(journal).await;
    a_hold_that_is_over_is_forgotten(journal).await;
    entries_stand_in_call_order(journal).await;
    events_have_journals_of_their_own(journal).await;
}

/// Leaves one hold and the end of another behind for [`check_survived`].
pub async fn leave_traces(journal: &dyn SeatJournal, event: &EventId) {
    let entries = [("a", Some("one")), ("b", Some("gone")), ("a", Some("two")), ("b", None)];
    let entries = entries.map(|(hold, row)| entry(event, hold, row));
    journal.append(entries.to_vec()).await.expect("appended");
}

/// What [`leave_traces`] appended is there, and a hold that was over stays over.
pub async fn check_survived(journal: &dyn SeatJournal, event: &EventId) {
    assert_eq!(rows(journal, event).await, ["two"]);
}

fn entry(event: &EventId, hold: &str, row: Option<&str>) -> JournalEntry {
    let hold = HoldId::parse(hold).expect("a valid id");
    JournalEntry { event: event.clone(), hold, row: row.map(str::to_owned) }
}

async fn rows(journal: &dyn SeatJournal, event: &EventId) -> Vec<String> {
    let mut rows = journal.read(event).await.expect("rows");
    rows.sort_unstable();
    rows
}

async fn the_last_row_of_a_hold_counts(journal: &dyn SeatJournal) {
    let event = SampleEvent::default().id;
    assert!(rows(journal, &event).await.is_empty());
    journal.append(Vec::new()).await.expect("nothing to append");
    // Rows are opaque: whatever text they are comes back as it was.
    let odd = "{\"a\": \"\\\"\u{e9}\n\"}";
    for row in ["one", odd] {
        journal.append(vec![entry(&event, "a", Some(row))]).await.expect("appended");
        assert_eq!(rows(journal, &event).await, [row]);
    }
    // Within one call the later entry is the last.
    let twice = vec![entry(&event, "a", Some("three")), entry(&event, "a", Some("four"))];
    journal.append(twice).await.expect("appended");
    assert_eq!(rows(journal, &event).await, ["four"]);
}

async fn a_hold_that_is_over_is_forgotten(journal: &dyn SeatJournal) {
    let event = SampleEvent::default().id;
    let both = vec![entry(&event, "a", Some("a")), entry(&event, "b", Some("b"))];
    journal.append(both).await.expect("appended");
    journal.append(vec![entry(&event, "a", None)]).await.expect("appended");
    assert_eq!(rows(journal, &event).await, ["b"]);
    journal.append(vec![entry(&event, "a", Some("again"))]).await.expect("appended");
    assert_eq!(rows(journal, &event).await, ["again", "b"]);
}

async fn entries_stand_in_call_order(journal: &dyn SeatJournal) {
    let event = SampleEvent::default().id;
    // The calls are made one after the other and their receipts awaited in any order, or never.
    let mut receipts: Vec<_> =
        (0..50).map(|n| journal.append(vec![entry(&event, "a", Some(&n.to_string()))])).collect();
    drop(receipts.remove(20));
    receipts.reverse();
    join_all(receipts).await.into_iter().for_each(|receipt| receipt.expect("appended"));
    assert_eq!(rows(journal, &event).await, ["49"]);
}

async fn events_have_journals_of_their_own(journal: &dyn SeatJournal) {
    let (one, other) = (SampleEvent::default().id, SampleEvent::default().id);
    let both = vec![entry(&one, "a", Some("one")), entry(&other, "a", Some("other"))];
    journal.append(both).await.expect("appended");
    journal.append(vec![entry(&one, "a", None)]).await.expect("appended");
    assert!(rows(journal, &one).await.is_empty());
    assert_eq!(rows(journal, &other).await, ["other"]);
}
