//! The contract of [`BookingLog`]: acknowledged messages reach every group, in order per key, at
//! least once, until they are committed.
use super::sample::{NOW, SampleEvent, cancel_of};
use crate::booking::{BookingCommand, BookingOutcome, PlaceBooking};
use crate::log::{
    BookingLog, DeadLetter, Delivery, Group, LogPosition, Message, Subscription, Topic,
};
use crate::purchase::Purchase;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::sync::Arc;

/// Runs the whole contract on a log that nobody else reads or writes.
pub async fn check_all(log: Arc<dyn BookingLog>) {
    let log = log.as_ref();
    messages_come_whole_and_in_order(log).await;
    each_group_reads_its_topics(log).await;
    what_is_not_committed_comes_again(log).await;
    the_front_may_be_committed_alone(log).await;
    a_dropped_call_loses_nothing(log).await;
    a_reader_wakes_for_an_append(log).await;
    a_lost_reply_appends_all_or_nothing(log).await;
    many_appenders_keep_each_bookings_order(log).await;
    a_backlog_counts_what_is_unread(log).await;
}

/// A dead letter as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub message: Message,
    /// Where the message stands in its topic.
    pub position: LogPosition,
    pub reason: String,
}

/// What is set aside is kept whole, with its place and its reason, and changes nothing for any
/// reader. `read` reads the dead letters from the first, once at least so many are there.
pub async fn check_dead_letters(
    log: &dyn BookingLog,
    read_dead: impl AsyncFn(usize) -> Vec<SetAside>,
) {
    let event = SampleEvent::default();
    let mut reader = drain(log, Group::PaymentWorker).await;
    let mut bystander = drain(log, Group::Projector).await;
    let sent = ["a-1", "a-2", "a-3"].map(|place| placed(&event.place(&[place])));
    log.append(sent.to_vec()).await.expect("appended");
    let mut deliveries: Vec<Delivery> = Vec::new();
    while deliveries.len() < sent.len() {
        deliveries.extend(reader.next(sent.len()).await.expect("deliveries"));
    }
    let letter = |delivery: &Delivery| DeadLetter {
        delivery: delivery.clone(),
        reason: format!("there is no place for {}", delivery.message.key()),
    };
    let letters: Vec<DeadLetter> = deliveries[1..].iter().map(letter).collect();
    log.append_dead(Group::PaymentWorker, &[]).await.expect("nothing to set aside");
    // The first reply was lost: the letters are appended again.
    for _ in 0..2 {
        log.append_dead(Group::PaymentWorker, &letters).await.expect("set aside");
    }
    let mut found = read_dead(letters.len()).await;
    let mut known = Vec::new();
    found.retain(|one| {
        let new = !known.contains(&one.position);
        known.push(one.position);
        new
    });
    let expected = letters.into_iter().map(|DeadLetter { delivery, reason }| SetAside {
        message: delivery.message,
        position: delivery.position,
        reason,
    });
    assert_eq!(found, expected.collect::<Vec<_>>());

    // Set aside is not committed: until then the messages come again.
    assert_eq!(log.backlog(Group::PaymentWorker).await.expect("a backlog").messages, 3);
    drop(reader);
    let mut reader = log.subscribe(Group::PaymentWorker).await.expect("a subscription");
    assert_eq!(read(reader.as_mut(), 3).await, sent);
    reader.commit().await.expect("committed");
    // No group is given a dead letter.
    assert_eq!(read(bystander.as_mut(), 3).await, sent);
    for (reader, group) in [(reader, Group::PaymentWorker), (bystander, Group::Projector)] {
        let mut reader = reader;
        assert!(nothing_more(reader.as_mut()).await, "{group:?}");
        reader.commit().await.expect("committed");
        assert_eq!(log.backlog(group).await.expect("a backlog").messages, 0, "{group:?}");
    }
}

/// Appends what [`check_survived`] looks for after a crash: one message committed, one not.
pub async fn leave_traces(log: &dyn BookingLog, commands: &[PlaceBooking; 2]) {
    let [first, second] = commands;
    log.append(vec![placed(first)]).await.expect("appended");
    let mut reader = log.subscribe(Group::PaymentWorker).await.expect("a subscription");
    read(reader.as_mut(), 1).await;
    reader.commit().await.expect("committed");
    log.append(vec![placed(second)]).await.expect("appended");
    read(reader.as_mut(), 1).await;
}

/// The committed message is past, the other comes again.
pub async fn check_survived(log: &dyn BookingLog, commands: &[PlaceBooking; 2]) {
    let mut reader = log.subscribe(Group::PaymentWorker).await.expect("a subscription");
    assert_eq!(read(reader.as_mut(), 1).await, [placed(&commands[1])]);
    assert!(nothing_more(reader.as_mut()).await);
}

fn placed(command: &PlaceBooking) -> Message {
    Message::Command(BookingCommand::Place(command.clone()))
}

fn outcome(command: &PlaceBooking) -> Message {
    Message::Outcome(Box::new(outcome_of(command)))
}

fn outcome_of(command: &PlaceBooking) -> BookingOutcome {
    Purchase::opened(command.clone(), NOW).outcome()
}

fn cancelled(command: &PlaceBooking) -> Message {
    Message::Command(BookingCommand::Cancel(cancel_of(command)))
}

/// Reads until `count` messages have come.
async fn read(reader: &mut dyn Subscription, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let found = reader.next(count).await.expect("deliveries");
        messages.extend(found.into_iter().map(|delivery| delivery.message));
    }
    messages
}

/// Reads and commits everything that a group has not read yet.
async fn drain(log: &dyn BookingLog, group: Group) -> Box<dyn Subscription> {
    let mut reader = log.subscribe(group).await.expect("a subscription");
    while log.backlog(group).await.expect("a backlog").messages > 0 {
        reader.next(1_000).await.expect("deliveries");
        reader.commit().await.expect("committed");
    }
    reader
}

/// True when a reader that looks for messages does not find any.
async fn nothing_more(reader: &mut dyn Subscription) -> bool {
    let soon = std::time::Duration::from_millis(50);
    let found = tokio::time::timeout(soon, reader.next(10)).await;
    found.map_or(Ok(Vec::new()), |found| found).expect("deliveries").is_empty()
}

async fn messages_come_whole_and_in_order(log: &dyn BookingLog) {
    let event = SampleEvent::default();
    let mut reader = drain(log, Group::PaymentWorker).await;
    let command = event.place(&["a-1", "a-2"]);
    let sent = vec![placed(&command), cancelled(&command), placed(&event.place(&["b-1"]))];
    log.append(sent[..2].to_vec()).await.expect("appended");
    log.append(sent[2..].to_vec()).await.expect("appended");
    log.append(Vec::new()).await.expect("nothing to append");
    assert_eq!(read(reader.as_mut(), 3).await, sent);
    reader.commit().await.expect("committed");
}

async fn each_group_reads_its_topics(log: &dyn BookingLog) {
    let mut readers = Vec::new();
    for group in Group::ALL {
        readers.push((group, drain(log, group).await));
    }
    let command = SampleEvent::default().place(&["a-1"]);
    log.append(vec![placed(&command), outcome(&command)]).await.expect("appended");
    for (group, reader) in &mut readers {
        let expected = group.topics().len();
        let mut topics: Vec<Topic> =
            read(reader.as_mut(), expected).await.iter().map(Message::topic).collect();
        topics.sort_by_key(|topic| topic.name());
        let mut own = group.topics().to_vec();
        own.sort_by_key(|topic| topic.name());
        assert_eq!(topics, own, "{group:?}");
        assert!(nothing_more(reader.as_mut()).await, "{group:?}");
        reader.commit().await.expect("committed");
    }
}

async fn what_is_not_committed_comes_again(log: &dyn BookingLog) {
    let event = SampleEvent::default();
    let mut reader = drain(log, Group::PaymentWorker).await;
    let sent = ["a-1", "a-2", "a-3"].map(|place| placed(&event.place(&[place])));
    log.append(sent.to_vec()).await.expect("appended");
    assert_eq!(read(reader.as_mut(), 1).await, sent[..1]);
    reader.commit().await.expect("committed");
    assert_eq!(read(reader.as_mut(), 2).await, sent[1..]);
    // The reader goes without a commit; the next one starts behind the last commit.
    drop(reader);
    let mut reader = log.subscribe(Group::PaymentWorker).await.expect("a subscription");
    assert_eq!(read(reader.as_mut(), 2).await, sent[1..]);
    reader.commit().await.expect("committed");
    drop(reader);
    let mut reader = log.subscribe(Group::PaymentWorker).await.expect("a subscription");
    assert!(nothing_more(reader.as_mut()).await);
}

async fn the_front_may_be_committed_alone(log: &dyn BookingLog) {
    let event = SampleEvent::default();
    let mut reader = drain(log, Group::PaymentWorker).await;
    let sent = ["a-1", "a-2", "a-3", "a-4"].map(|place| placed(&event.place(&[place])));
    log.append(sent.to_vec()).await.expect("appended");
    assert_eq!(read(reader.as_mut(), 3).await, sent[..3]);
    // Counted from the last commit, while the reader reads on; none commits nothing.
    for messages in [1, 0, 1] {
        reader.commit_first(messages).await.expect("committed");
    }
    assert_eq!(read(reader.as_mut(), 1).await, sent[3..]);
    assert_eq!(log.backlog(Group::PaymentWorker).await.expect("a backlog").messages, 2);
    drop(reader);
    let mut reader = log.subscribe(Group::PaymentWorker).await.expect("a subscription");
    assert_eq!(read(reader.as_mut(), 2).await, sent[2..]);
    reader.commit_first(2).await.expect("committed");
    assert_eq!(log.backlog(Group::PaymentWorker).await.expect("a backlog").messages, 0);
}

async fn a_dropped_call_loses_nothing(log: &dyn BookingLog) {
    let event = SampleEvent::default();
    let mut reader = drain(log, Group::PaymentWorker).await;
    let sent: Vec<_> =
        (0..20).map(|n| placed(&event.place(&[format!("a-{n}").as_str()]))).collect();
    log.append(sent.clone()).await.expect("appended");
    let mut got = Vec::new();
    while got.len() < sent.len() {
        // A call is begun and dropped again and again; what it would have returned comes later.
        for _ in 0..3 {
            if let Some(found) = reader.next(3).now_or_never() {
                got.extend(messages(found.expect("deliveries")));
            }
        }
        if got.len() < sent.len() {
            got.extend(messages(reader.next(3).await.expect("deliveries")));
        }
    }
    assert_eq!(got, sent);
    reader.commit().await.expect("committed");
}

fn messages(deliveries: Vec<Delivery>) -> impl Iterator<Item = Message> {
    deliveries.into_iter().map(|delivery| delivery.message)
}

async fn a_reader_wakes_for_an_append(log: &dyn BookingLog) {
    let mut reader = drain(log, Group::OutcomeApplier).await;
    let message = outcome(&SampleEvent::default().place(&["a-1"]));
    for _ in 0..20 {
        let append = async {
            tokio::task::yield_now().await;
            log.append(vec![message.clone()]).await.expect("appended");
        };
        let (found, ()) = tokio::join!(read(reader.as_mut(), 1), append);
        assert_eq!(found, std::slice::from_ref(&message));
    }
    reader.commit().await.expect("committed");
}

async fn a_lost_reply_appends_all_or_nothing(log: &dyn BookingLog) {
    let event = SampleEvent::default();
    let mut reader = drain(log, Group::PaymentWorker).await;
    let lost = ["a-1", "a-2"].map(|place| placed(&event.place(&[place])));
    let last = placed(&event.place(&["a-3"]));
    let _ = log.append(lost.to_vec()).now_or_never();
    log.append(vec![last.clone()]).await.expect("appended");
    let mut got = Vec::new();
    while !got.contains(&last) {
        got.extend(messages(reader.next(10).await.expect("deliveries")));
    }
    got.retain(|message| *message != last);
    assert!(got.is_empty() || got == lost, "{} of 2 came", got.len());
    reader.commit().await.expect("committed");
}

async fn many_appenders_keep_each_bookings_order(log: &dyn BookingLog) {
    let event = SampleEvent::default();
    let mut reader = drain(log, Group::PaymentWorker).await;
    let commands: Vec<_> = (0..16).map(|n| event.place(&[format!("a-{n}").as_str()])).collect();
    join_all(commands.iter().map(async |command| {
        log.append(vec![placed(command)]).await.expect("appended");
        log.append(vec![cancelled(command)]).await.expect("appended");
    }))
    .await;
    let got = read(reader.as_mut(), 32).await;
    for command in &commands {
        let own = got.iter().filter(|message| message.key() == command.booking_id.as_str());
        assert!(own.eq(&[placed(command), cancelled(command)]));
    }
    reader.commit().await.expect("committed");
}

async fn a_backlog_counts_what_is_unread(log: &dyn BookingLog) {
    let event = SampleEvent::default();
    let mut reader = drain(log, Group::Projector).await;
    let empty = log.backlog(Group::Projector).await.expect("a backlog");
    assert_eq!((empty.messages, empty.oldest_at), (0, None));
    let command = event.place(&["a-1"]);
    log.append(vec![placed(&command), outcome(&command)]).await.expect("appended");
    let two = log.backlog(Group::Projector).await.expect("a backlog");
    assert_eq!((two.messages, two.oldest_at.is_some()), (2, true));
    // Read is not done: only a commit makes the backlog shorter.
    read(reader.as_mut(), 2).await;
    assert_eq!(log.backlog(Group::Projector).await.expect("a backlog").messages, 2);
    reader.commit().await.expect("committed");
    assert_eq!(log.backlog(Group::Projector).await.expect("a backlog").messages, 0);
}
