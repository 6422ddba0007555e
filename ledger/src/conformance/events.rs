//! The contract of [`Events`]: events are made once, queue settings keep their history, seat
//! generations are raised by one.
use crate::books::{EventCreated, Events, LimitsChange, Patched, Raised};
use crate::clock::Timestamp;
use crate::event::{DEFAULT_PRICE, Event, Queue, QueuePatch, QueueSettings, QueueState, SaleTerms};
use crate::ids::{EventId, IdSource, QueueId, SectionId};
use crate::layout::{Layout, Row, Seating, Section};
use crate::page::Cursor;
use futures_util::future::join_all;
use std::sync::Arc;

const CREATED: Timestamp = Timestamp::from_millis(1_000_000);

/// Runs the whole contract.
pub async fn check_all(events: Arc<dyn Events>) {
    let events = events.as_ref();
    an_event_comes_back_whole(events).await;
    an_event_is_made_once(events).await;
    an_event_joins_a_queue_or_is_refused(events).await;
    events_are_listed_in_order_of_creation(events).await;
    every_patch_is_kept(events).await;
    one_of_rival_patches_counts(events).await;
    one_raise_of_the_seats_wins(events).await;
}

/// An event with sections, aisles and general admission, and ids of its own.
pub fn sample_event() -> Event {
    let id = IdSource::system().event(CREATED);
    let section = |id: &str, name: &str, seating| Section {
        id: SectionId::parse(id).expect("an id"),
        name: name.into(),
        price: DEFAULT_PRICE,
        seating,
    };
    let seats = [Some("1"), Some("2"), None, Some("3")];
    let row = Row { name: "A".into(), seats: seats.map(|s| s.map(Into::into)).to_vec() };
    let sections = vec![
        section("stalls", "Stalls", Seating::Rows(vec![row])),
        section("floor", "Flöör", Seating::Capacity(5)),
    ];
    Event {
        queue_id: QueueId::from(&id),
        id,
        name: "Nachtmusik “live”".into(),
        date: "2027-03-01".into(),
        timezone: "Europe/Vienna".into(),
        venue: "Musikverein".into(),
        on_sale_at: CREATED.plus_seconds(60),
        terms: SaleTerms { seats_per_account_max: 4, ..SaleTerms::default() },
        layout_version: 1,
        layout: Arc::new(Layout::new(sections).expect("a sound layout")),
        created_at: CREATED,
    }
}

/// A queue of its own, with an event behind it.
pub(super) async fn new_queue(events: &dyn Events) -> QueueId {
    new_event(events).await.queue_id
}

async fn new_event(events: &dyn Events) -> Event {
    let event = sample_event();
    let created = events.create(&event, Some(QueueSettings::default())).await;
    assert_eq!(created.expect("an answer"), EventCreated::Created);
    event
}

async fn an_event_comes_back_whole(events: &dyn Events) {
    let event = new_event(events).await;
    for _ in 0..2 {
        let read = events.event(&event.id).await.expect("an answer");
        assert_eq!(read.as_ref(), Some(&event), "the first read and the next ones are the same");
    }
    let queue = events.queue(&event.queue_id).await.expect("an answer").expect("the queue");
    assert_eq!(queue.settings, QueueSettings::default());
    assert_eq!((queue.opens_at, queue.revision), (event.on_sale_at, 1));
    let absent = EventId::parse("no-such-event").expect("an id");
    assert_eq!(events.event(&absent).await.expect("an answer"), None);
    assert_eq!(events.queue(&QueueId::from(&absent)).await.expect("an answer"), None);
    assert_eq!(events.seat_generation(&absent).await.expect("an answer"), None);
    assert!(events.raise_seat_generation(&absent, 1).await.is_err());
}

async fn an_event_is_made_once(events: &dyn Events) {
    let event = new_event(events).await;
    let again = events.create(&event, Some(QueueSettings::default())).await;
    assert_eq!(again.expect("an answer"), EventCreated::Created, "a reply was lost");
    let of_queue = events.events_of(&event.queue_id).await.expect("an answer");
    assert_eq!(of_queue, std::slice::from_ref(&event.id));
    let history = events.limits(&event.queue_id).await.expect("an answer");
    assert_eq!(history.len(), 1, "the second call changed nothing");
    let other = Event { name: "Another".into(), ..event.clone() };
    assert!(events.create(&other, None).await.is_err(), "an id names one event");
    assert_eq!(events.event(&event.id).await.expect("an answer"), Some(event));
}

async fn an_event_joins_a_queue_or_is_refused(events: &dyn Events) {
    let first = new_event(events).await;
    let second = Event { queue_id: first.queue_id.clone(), ..sample_event() };
    let joined = events.create(&second, None).await.expect("an answer");
    assert_eq!(joined, EventCreated::Created);
    let third = Event { queue_id: first.queue_id.clone(), ..sample_event() };
    let settings = QueueSettings { capacity: 1, ..QueueSettings::default() };
    events.create(&third, Some(settings)).await.expect("an answer");
    let of_queue = events.events_of(&first.queue_id).await.expect("an answer");
    assert_eq!(of_queue, [first.id.clone(), second.id, third.id]);
    let queue = events.queue(&first.queue_id).await.expect("an answer").expect("the queue");
    assert_eq!(queue.settings, QueueSettings::default(), "a queue keeps its own settings");

    let astray = sample_event();
    let refused = events.create(&astray, None).await.expect("an answer");
    assert_eq!(refused, EventCreated::NoSuchQueue);
    assert_eq!(events.event(&astray.id).await.expect("an answer"), None);
}

async fn events_are_listed_in_order_of_creation(events: &dyn Events) {
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(new_event(events).await.id);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = events.events(Cursor { after, limit: 2 }).await.expect("a page");
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|event| event.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.retain(|id| made.contains(id));
    assert_eq!(seen, made);
    let queues = events.queues().await.expect("the queues");
    for id in &made {
        assert!(queues.iter().any(|queue| queue.id == QueueId::from(id)));
    }
}

async fn every_patch_is_kept(events: &dyn Events) {
    let queue = new_queue(events).await;
    let slower = QueuePatch { rate_per_minute: Some(60), ..QueuePatch::default() };
    let paused =
        QueuePatch { state: Some(QueueState::Paused), capacity: Some(5), ..QueuePatch::default() };
    let times = [CREATED.plus_seconds(10), CREATED.plus_seconds(20)];
    let first = events.patch_queue(&queue, 1, slower, times[0]).await.expect("an answer");
    let second = events.patch_queue(&queue, 2, paused, times[1]).await.expect("an answer");
    let old = QueueSettings::default();
    let settings = [old, slower.applied_to(old), paused.applied_to(slower.applied_to(old))];
    for (patched, (settings, revision)) in [(first, (settings[1], 2)), (second, (settings[2], 3))] {
        let Patched::Done(queue) = patched else { panic!("not done: {patched:?}") };
        assert_eq!((queue.settings, queue.revision), (settings, revision));
    }
    for from in [1, 2, 4] {
        let stale = events.patch_queue(&queue, from, slower, times[1]).await.expect("an answer");
        assert_eq!(stale, Patched::Stale, "it is at 3, not at {from}");
    }

    let history = events.limits(&queue).await.expect("an answer");
    let expected = [CREATED, times[0], times[1]].into_iter().zip(settings);
    let expected: Vec<_> = expected.map(|(at, settings)| LimitsChange { at, settings }).collect();
    assert_eq!(history, expected);
    let absent = QueueId::parse("no-such-queue").expect("an id");
    let none = events.patch_queue(&absent, 1, paused, CREATED).await.expect("an answer");
    assert_eq!(none, Patched::NoSuchQueue);
}

async fn one_of_rival_patches_counts(events: &dyn Events) {
    let queue = new_queue(events).await;
    let patches = (0..16).map(|capacity| {
        let patch = QueuePatch { capacity: Some(capacity), ..QueuePatch::default() };
        events.patch_queue(&queue, 1, patch, CREATED)
    });
    let answers: Vec<Patched> =
        join_all(patches).await.into_iter().map(|patched| patched.expect("an answer")).collect();
    let done: Vec<&Queue> = answers
        .iter()
        .filter_map(|answer| if let Patched::Done(queue) = answer { Some(queue) } else { None })
        .collect();
    let stale = answers.iter().filter(|answer| **answer == Patched::Stale).count();
    assert_eq!((done.len(), stale), (1, 15));
    let found = events.queue(&queue).await.expect("an answer");
    assert_eq!(found.as_ref(), Some(done[0]));
    assert_eq!(events.limits(&queue).await.expect("an answer").len(), 2);
}

async fn one_raise_of_the_seats_wins(events: &dyn Events) {
    let event = new_event(events).await;
    assert_eq!(events.seat_generation(&event.id).await.expect("an answer"), Some(1));
    let raises = join_all((0..16).map(|_| events.raise_seat_generation(&event.id, 1))).await;
    let raises: Vec<Raised> = raises.into_iter().map(|r| r.expect("an answer")).collect();
    assert_eq!(raises.iter().filter(|raised| **raised == Raised::Won(2)).count(), 1);
    assert_eq!(raises.iter().filter(|raised| **raised == Raised::Lost(2)).count(), 15);
    assert_eq!(events.seat_generation(&event.id).await.expect("an answer"), Some(2));
}
