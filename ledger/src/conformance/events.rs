//! The contract of [`Events`]: events are made once, queue settings keep their history, seat
//! generations are raised by one.
use crate::books::{Books, EventCreated, LimitsChange, Patched, Raised};
use crate::clock::Timestamp;
use crate::event::{DEFAULT_PRICE, Event, Queue, QueuePatch, QueueSettings, QueueState, SaleTerms};
use crate::ids::{EventId, IdSource, QueueId, SectionId};
use crate::layout::{Layout, Row, Seating, Section};
use crate::page::Cursor;
use futures_util::future::join_all;
use std::sync::Arc;

const CREATED: Timestamp = Timestamp::from_millis(1_000_000);

/// Runs the whole contract.
pub async fn check_all(books: &Books) {
    an_event_comes_back_whole(books).await;
    an_event_is_made_once(books).await;
    an_event_joins_a_queue_or_is_refused(books).await;
    events_are_listed_in_order_of_creation(books).await;
    every_patch_is_kept(books).await;
    one_of_rival_patches_counts(books).await;
    one_raise_of_the_seats_wins(books).await;
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
pub(super) async fn new_queue(books: &Books) -> QueueId {
    new_event(books).await.queue_id
}

async fn new_event(books: &Books) -> Event {
    let event = sample_event();
    let created = books.events.create(&event, Some(QueueSettings::default())).await;
    assert_eq!(created.expect("an answer"), EventCreated::Created);
    event
}

async fn an_event_comes_back_whole(books: &Books) {
    let event = new_event(books).await;
    for _ in 0..2 {
        let read = books.events.event(&event.id).await.expect("an answer");
        assert_eq!(read.as_ref(), Some(&event), "the first read and the next ones are the same");
    }
    let queue = books.queues.queue(&event.queue_id).await.expect("an answer").expect("the queue");
    assert_eq!(queue.settings, QueueSettings::default());
    assert_eq!((queue.opens_at, queue.revision), (event.on_sale_at, 1));
    let absent = EventId::parse("no-such-event").expect("an id");
    assert_eq!(books.events.event(&absent).await.expect("an answer"), None);
    assert_eq!(books.queues.queue(&QueueId::from(&absent)).await.expect("an answer"), None);
    assert_eq!(books.seat_generations.seat_generation(&absent).await.expect("an answer"), None);
    assert!(books.seat_generations.raise_seat_generation(&absent, 1).await.is_err());
}

async fn an_event_is_made_once(books: &Books) {
    let event = new_event(books).await;
    let again = books.events.create(&event, Some(QueueSettings::default())).await;
    assert_eq!(again.expect("an answer"), EventCreated::Created, "a reply was lost");
    let of_queue = books.events.events_of(&event.queue_id).await.expect("an answer");
    assert_eq!(of_queue, std::slice::from_ref(&event.id));
    let history = books.queues.limits(&event.queue_id).await.expect("an answer");
    assert_eq!(history.len(), 1, "the second call changed nothing");
    let other = Event { name: "Another".into(), ..event.clone() };
    assert!(books.events.create(&other, None).await.is_err(), "an id names one event");
    assert_eq!(books.events.event(&event.id).await.expect("an answer"), Some(event));
}

async fn an_event_joins_a_queue_or_is_refused(books: &Books) {
    let first = new_event(books).await;
    let second = Event { queue_id: first.queue_id.clone(), ..sample_event() };
    let joined = books.events.create(&second, None).await.expect("an answer");
    assert_eq!(joined, EventCreated::Created);
    let third = Event { queue_id: first.queue_id.clone(), ..sample_event() };
    let settings = QueueSettings { capacity: 1, ..QueueSettings::default() };
    books.events.create(&third, Some(settings)).await.expect("an answer");
    let of_queue = books.events.events_of(&first.queue_id).await.expect("an answer");
    assert_eq!(of_queue, [first.id.clone(), second.id, third.id]);
    let queue = books.queues.queue(&first.queue_id).await.expect("an answer").expect("the queue");
    assert_eq!(queue.settings, QueueSettings::default(), "a queue keeps its own settings");

    let astray = sample_event();
    let refused = books.events.create(&astray, None).await.expect("an answer");
    assert_eq!(refused, EventCreated::NoSuchQueue);
    assert_eq!(books.events.event(&astray.id).await.expect("an answer"), None);
}

async fn events_are_listed_in_order_of_creation(books: &Books) {
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(new_event(books).await.id);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = books.events.events(Cursor { after, limit: 2 }).await.expect("a page");
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|event| event.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.retain(|id| made.contains(id));
    assert_eq!(seen, made);
    let queues = books.queues.queues().await.expect("the queues");
    for id in &made {
        assert!(queues.iter().any(|queue| queue.id == QueueId::from(id)));
    }
}

async fn every_patch_is_kept(books: &Books) {
    let queue = new_queue(books).await;
    let slower = QueuePatch { rate_per_minute: Some(60), ..QueuePatch::default() };
    let paused =
        QueuePatch { state: Some(QueueState::Paused), capacity: Some(5), ..QueuePatch::default() };
    let times = [CREATED.plus_seconds(10), CREATED.plus_seconds(20)];
    let first = books.queues.patch_queue(&queue, 1, slower, times[0]).await.expect("an answer");
    let second = books.queues.patch_queue(&queue, 2, paused, times[1]).await.expect("an answer");
    let old = QueueSettings::default();
    let settings = [old, slower.applied_to(old), paused.applied_to(slower.applied_to(old))];
    for (patched, (settings, revision)) in [(first, (settings[1], 2)), (second, (settings[2], 3))] {
        let Patched::Done(queue) = patched else { panic!("not done: {patched:?}") };
        assert_eq!((queue.settings, queue.revision), (settings, revision));
    }
    for from in [1, 2, 4] {
        let stale =
            books.queues.patch_queue(&queue, from, slower, times[1]).await.expect("an answer");
        assert_eq!(stale, Patched::Stale, "it is at 3, not at {from}");
    }

    let history = books.queues.limits(&queue).await.expect("an answer");
    let expected = [CREATED, times[0], times[1]].into_iter().zip(settings);
    let expected: Vec<_> = expected.map(|(at, settings)| LimitsChange { at, settings }).collect();
    assert_eq!(history, expected);
    let absent = QueueId::parse("no-such-queue").expect("an id");
    let none = books.queues.patch_queue(&absent, 1, paused, CREATED).await.expect("an answer");
    assert_eq!(none, Patched::NoSuchQueue);
}

async fn one_of_rival_patches_counts(books: &Books) {
    let queue = new_queue(books).await;
    let patches = (0..16).map(|capacity| {
        let patch = QueuePatch { capacity: Some(capacity), ..QueuePatch::default() };
        books.queues.patch_queue(&queue, 1, patch, CREATED)
    });
    let answers: Vec<Patched> =
        join_all(patches).await.into_iter().map(|patched| patched.expect("an answer")).collect();
    let done: Vec<&Queue> = answers
        .iter()
        .filter_map(|answer| if let Patched::Done(queue) = answer { Some(queue) } else { None })
        .collect();
    let stale = answers.iter().filter(|answer| **answer == Patched::Stale).count();
    assert_eq!((done.len(), stale), (1, 15));
    let found = books.queues.queue(&queue).await.expect("an answer");
    assert_eq!(found.as_ref(), Some(done[0]));
    assert_eq!(books.queues.limits(&queue).await.expect("an answer").len(), 2);
}

async fn one_raise_of_the_seats_wins(books: &Books) {
    let event = new_event(books).await;
    assert_eq!(
        books.seat_generations.seat_generation(&event.id).await.expect("an answer"),
        Some(1)
    );
    let raises =
        join_all((0..16).map(|_| books.seat_generations.raise_seat_generation(&event.id, 1))).await;
    let raises: Vec<Raised> = raises.into_iter().map(|r| r.expect("an answer")).collect();
    assert_eq!(raises.iter().filter(|raised| **raised == Raised::Won(2)).count(), 1);
    assert_eq!(raises.iter().filter(|raised| **raised == Raised::Lost(2)).count(), 15);
    assert_eq!(
        books.seat_generations.seat_generation(&event.id).await.expect("an answer"),
        Some(2)
    );
}
