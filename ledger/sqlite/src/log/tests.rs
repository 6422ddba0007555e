//! The booking log's contract on SQLite, and what is this backend's own: dead letters, turns.
use super::*;
use crate::tests::{crashed, open, tamper};
use futures_util::FutureExt;
use ledger::conformance::log::{
    SetAside, check_all, check_dead_letters, check_survived, leave_traces,
};
use ledger::conformance::sample::SampleEvent;
use ledger::{BookingCommand, LogPosition};

fn placed(event: &SampleEvent, place: &str) -> Message {
    Message::Command(BookingCommand::Place(event.place(&[place])))
}

#[tokio::test]
async fn the_log_keeps_its_contract() {
    let dir = tempfile::tempdir().unwrap();
    check_all(Arc::new(SqliteLog::new(open(&dir).await, Clock::System))).await;
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let file = open(&dir).await;
    let read_dead = async |_: usize| {
        let dead = file.read("reading dead letters", |connection| {
            connection.all(
                "SELECT * FROM log WHERE topic = ?1 ORDER BY seq",
                [Topic::Dead.name()],
                |row| {
                    assert_eq!(row.text("source_topic")?, Topic::Bookings.name());
                    let (kind, value) = (row.text("type")?, row.bytes("value")?);
                    let message = Message::decode(Topic::Bookings, kind, value).unwrap();
                    let position = LogPosition { partition: 0, offset: row.integer("source_seq")? };
                    Ok(SetAside { message, position, reason: row.text("reason")?.to_owned() })
                },
            )
        });
        dead.await.unwrap()
    };
    check_dead_letters(&SqliteLog::new(file.clone(), Clock::System), read_dead).await;
}

#[tokio::test]
async fn the_log_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let event = SampleEvent::default();
    let commands = [event.place(&["a-1"]), event.place(&["a-2"])];
    let alive = SqliteLog::new(open(&dir).await, Clock::System);
    leave_traces(&alive, &commands).await;
    let left = crashed(&dir);
    check_survived(&SqliteLog::new(open(&left).await, Clock::System), &commands).await;
}

async fn append_raw(file: &SqliteFile, topic: Topic, kind: &'static str, value: &'static [u8]) {
    let receipt = file.write("appending what nobody can read", move |connection| {
        connection.execute(
            "INSERT INTO log (topic, key, type, value, appended_at) VALUES (?1, 'k', ?2, ?3, 1)",
            (topic.name(), kind, value),
        )
    });
    receipt.await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = open(&dir).await;
    let log = SqliteLog::new(file.clone(), Clock::System);
    let event = SampleEvent::default();
    let good = [placed(&event, "a-1"), placed(&event, "a-2")];
    log.append(good[..1].to_vec()).await.unwrap();
    append_raw(&file, Topic::Bookings, "tidegate.booking_command.v2", b"{}").await;
    append_raw(&file, Topic::Bookings, ledger::message::COMMAND_TYPE, b"\xff not json").await;
    log.append(good[1..].to_vec()).await.unwrap();
    // Two groups meet them, one of them twice because it did not commit.
    for group in [Group::PaymentWorker, Group::PaymentWorker, Group::Projector] {
        let mut reader = log.subscribe(group).await.unwrap();
        let mut got = Vec::new();
        while got.len() < 2 {
            got.extend(reader.next(10).await.unwrap().into_iter().map(|d| d.message));
        }
        assert_eq!(got, good);
    }
    let dead = file.read("reading dead letters", |connection| {
        connection.all(
            "SELECT type, value, reason, source_seq FROM log WHERE topic = ?1 ORDER BY seq",
            [Topic::Dead.name()],
            |row| {
                let (kind, value) = (row.text("type")?.to_owned(), row.bytes("value")?.to_owned());
                Ok((kind, value, row.text("reason")?.to_owned(), row.integer("source_seq")?))
            },
        )
    });
    let dead = dead.await.unwrap();
    let [(version, _, reason, 2), (_, raw, _, 3)] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!(version, "tidegate.booking_command.v2");
    assert!(reason.contains("is not one of this topic's"), "{reason}");
    assert_eq!(raw, b"\xff not json");
}

#[tokio::test]
async fn a_batch_of_dead_letters_only_still_moves_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = open(&dir).await;
    let log = SqliteLog::new(file.clone(), Clock::System);
    append_raw(&file, Topic::Outcomes, "unknown", b"").await;
    let mut reader = log.subscribe(Group::SlotEnder).await.unwrap();
    assert!(reader.next(10).await.unwrap().is_empty());
    reader.commit().await.unwrap();
    assert_eq!(log.backlog(Group::SlotEnder).await.unwrap().messages, 0);
}

#[tokio::test]
async fn a_second_reader_of_a_group_waits_for_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let log = SqliteLog::new(open(&dir).await, Clock::System);
    let event = SampleEvent::default();
    log.append(vec![placed(&event, "a-1")]).await.unwrap();
    let mut first = log.subscribe(Group::PaymentWorker).await.unwrap();
    let mut second = log.subscribe(Group::PaymentWorker).await.unwrap();
    assert_eq!(first.next(10).await.unwrap().len(), 1);
    assert!(second.next(10).now_or_never().is_none());
    // A commit without a turn changes nothing.
    second.commit().await.unwrap();
    drop(first);
    assert_eq!(second.next(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_log_refuses_to_be_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let file = open(&dir).await;
    append_raw(&file, Topic::Outcomes, "unknown", b"").await;
    let rewrite = tamper(&file, "UPDATE log SET value = x'00'");
    assert!(matches!(rewrite.await, Err(StoreError::Broken { .. })));
}
