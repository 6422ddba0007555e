//! Events: what is sold, where, and how much of it is left.
use crate::api::event_form;
use crate::event_cache::CachedEvent;
use crate::exchange::{Exchange, Outcome, cursor, field, trace};
use crate::fields::Fields;
use crate::idempotency;
use crate::problem::Problem;
use crate::response::{self, IMMUTABLE, Listed, PUBLIC_SECOND};
use crate::rules::digits;
use crate::schemas::{Described, Schemas, Time, answer, describe_enum, shape};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use ledger::books::EventCreated;
use ledger::{
    Currency, Event, EventId, Money, PlaceId, Queue, QueueId, QueueState, Role, Seating, SectionId,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

answer! {
    /// An event.
    struct EventShown as "Event", such as
        r#"{"id": "evt_1", "name": "Night", "date": "2026-05-01T20:00:00+02:00",
            "timezone": "Europe/Vienna", "venue": "Hall", "status": "on_sale", "currency": "EUR",
            "total_seats": 5000, "available_seats": 4711, "on_sale_at": "2026-03-01T09:00:00Z",
            "queue_id": "evt_1", "queue_state": "open",
            "price_from": {"minor": 4500, "currency": "EUR"},
            "price_to": {"minor": 9000, "currency": "EUR"}, "layout_version": 1,
            "hold_ttl_seconds": 120, "seats_per_account_max": 8}"# {
        /// The event's id.
        id: EventId,
        /// The name that people see.
        name: String,
        /// When it takes place, as it was written: a date or an RFC 3339 time.
        date: String,
        /// The time zone that the date is in.
        timezone: String,
        /// Where it takes place.
        venue: String,
        /// Whether it is on sale.
        status: EventStatus,
        /// The currency of all its prices.
        currency: Currency,
        /// How many seats there are.
        total_seats: u32,
        /// How many of them are free.
        available_seats: u64,
        /// When the sale begins.
        on_sale_at: Time,
        /// The queue before the sale; several events may share one.
        queue_id: QueueId,
        /// Whether that queue lets people in.
        queue_state: QueueState,
        /// The lowest price; null without seats.
        price_from: Option<Money>,
        /// The highest price; null without seats.
        price_to: Option<Money>,
        /// The version of the layout.
        layout_version: u32,
        /// How long a hold lasts, in seconds.
        hold_ttl_seconds: u32,
        /// How many seats one account may have.
        seats_per_account_max: u32,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventStatus {
    Upcoming,
    OnSale,
    SoldOut,
    Closed,
}

describe_enum!(EventStatus: Upcoming, OnSale, SoldOut, Closed);

answer! {
    /// How a queue admits people.
    struct QueueShown as "QueueSettings", such as
        r#"{"queue_id": "evt_1", "state": "open", "rate_per_minute": 600, "capacity": 500,
            "claim_window_seconds": 30, "return_seconds": 300, "session_seconds": 600,
            "opens_at": "2026-03-01T09:00:00Z"}"# {
        /// The queue's id.
        queue_id: QueueId,
        /// Whether the queue lets people in.
        state: QueueState,
        /// How many are called in a minute at most.
        rate_per_minute: u32,
        /// How many may be inside at once.
        capacity: u32,
        /// How long a place that was called has to claim, in seconds.
        claim_window_seconds: u32,
        /// How long a place that did not claim may still come back, in seconds.
        return_seconds: u32,
        /// How long somebody who was admitted may stay, in seconds.
        session_seconds: u32,
        /// When people are called first.
        opens_at: Time,
    }
}

answer! {
    /// Where the seats of an event are.
    struct LayoutShown<'e> as "Layout", such as
        r#"{"event_id": "evt_1", "layout_version": 1,
            "sections": [{"id": "main", "name": "Main",
                "price": {"minor": 4500, "currency": "EUR"},
                "rows": [{"name": "A", "seats": [{"id": "main-A-1", "label": "A-1"}, null]}]}]}"# {
        /// The event's id.
        event_id: &'e EventId,
        /// The version of the layout; under one version it never changes.
        layout_version: u32,
        /// The sections, in layout order.
        sections: Vec<SectionShown<'e>>,
    }
}

answer! {
    /// A section: rows of seats, or places without numbers.
    struct SectionShown<'e> as "Section", such as
        r#"{"id": "floor", "name": "Floor", "price": {"minor": 4500, "currency": "EUR"},
            "capacity": 800}"# {
        /// The section's id.
        id: &'e SectionId,
        /// The name that people see.
        name: &'e str,
        /// What each of its places costs.
        price: Money,
        /// The rows; left out for general admission.
        #[serde(skip_serializing_if = "Option::is_none")]
        rows: Option<Vec<RowShown<'e>>>,
        /// How many places there are; left out where there are rows.
        #[serde(skip_serializing_if = "Option::is_none")]
        capacity: Option<u32>,
    }
}

answer! {
    /// A row of seats.
    struct RowShown<'e> as "Row", such as
        r#"{"name": "A", "seats": [{"id": "main-A-1", "label": "A-1"}, null]}"# {
        /// The row's name.
        name: &'e str,
        /// The seats from one end to the other; null is an aisle.
        seats: Vec<Option<SeatShown<'e>>>,
    }
}

answer! {
    /// A seat.
    struct SeatShown<'e> as "Seat", such as r#"{"id": "main-A-1", "label": "A-1"}"# {
        /// The seat's id.
        id: &'e PlaceId,
        /// What a person reads on the ticket.
        label: &'e str,
    }
}

shape! {
    /// Which seats are free.
    SeatsShown as "Seats", such as
        r#"{"version": 17, "layout_version": 1, "sections": {"main": "..hs", "floor": 640}}"# {
        /// Grows with each change.
        version: u64,
        /// The layout that the order of seats is of.
        layout_version: u32,
        /// By section: a letter a seat in layout order, aisles left out, or how many are free.
        sections: SectionSeats,
    }
}

/// The seats of each section, as the map of seats writes them.
pub(crate) enum SectionSeats {}

impl Described for SectionSeats {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "object", "additionalProperties": { "anyOf": [
            { "type": "string", "pattern": "^[.hpsx]*$" },
            { "type": "integer", "minimum": 0 },
        ] } })
    }
}

/// Which version of a layout a client expects.
pub(crate) fn layout_query(fields: &mut Fields<'_>) -> Option<Option<u32>> {
    let says = "The version that is expected: under it the answer may be kept for ever.";
    Some(fields.optional("v", digits(0..=u32::MAX), says))
}

pub(crate) async fn list(exchange: Exchange) -> Outcome {
    let cursor = exchange.query(cursor)?;
    let page = exchange.app().books.events.events(cursor).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for event in page.items {
        items.push(shown(&exchange, &exchange.app().event_cache.keep(event)).await?);
    }
    Ok(public(StatusCode::OK, &Listed { items, next_cursor: page.next }))
}

pub(crate) async fn get(exchange: Exchange) -> Outcome {
    let cached = named(&exchange).await?;
    Ok(public(StatusCode::OK, &shown(&exchange, &cached).await?))
}

pub(crate) async fn create(mut exchange: Exchange) -> Outcome {
    let login = exchange.login_as(Role::Admin).await?;
    let received = exchange.receive().await?;
    let form = received.read(&event_form::NEW_EVENT)?;
    let work = add(&exchange, form);
    idempotency::once(&exchange, login.account.as_str(), &received, work).await
}

/// Answers from what was written: a stage that cannot answer now must not hide the new event.
async fn add(exchange: &Exchange, form: event_form::EventForm) -> Outcome {
    let app = exchange.app();
    let now = exchange.now();
    let (event, settings) = form.event(app.ids.event(now), now)?;
    let no_queue = || Problem::field("queue_id", "is not a queue");
    let queue_state = match &settings {
        Some(settings) => settings.state,
        None => {
            let queue = app.books.queues.queue(&event.queue_id).await?;
            queue.ok_or_else(no_queue)?.settings.state
        }
    };
    match app.books.events.create(&event, settings).await? {
        EventCreated::Created => {}
        EventCreated::NoSuchQueue => return Err(no_queue()),
    }
    trace(field::EVENT, &event.id);
    let address = format!("/api/events/{}", event.id);
    let available = event.layout.total().into();
    let body = EventShown::new(&event, available, false, queue_state);
    let mut answer = response::json(StatusCode::CREATED, &body);
    if let Ok(address) = HeaderValue::try_from(address) {
        answer.headers_mut().insert(LOCATION, address);
    }
    Ok(answer)
}

pub(crate) async fn patch_queue(mut exchange: Exchange) -> Outcome {
    exchange.login_as(Role::Admin).await?;
    let patch = exchange.receive().await?.read(&event_form::QUEUE_PATCH)?;
    let cached = named(&exchange).await?;
    let changed = exchange.app().room.configure(&cached.event.queue_id, patch).await?;
    let queue = changed.ok_or_else(|| Problem::not_found("the event has no queue"))?;
    Ok(response::json(StatusCode::OK, &QueueShown::from(queue)))
}

pub(crate) async fn layout(exchange: Exchange) -> Outcome {
    let version = exchange.query(layout_query)?;
    let cached = named(&exchange).await?;
    let event = &cached.event;
    let etag = format!("\"{}-{}\"", event.id, event.layout_version);
    let cache = if version == Some(event.layout_version) { IMMUTABLE } else { PUBLIC_SECOND };
    Ok(response::tagged(exchange.headers(), etag.into(), cache, || cached.layout(layout_json)))
}

pub(crate) async fn seats(exchange: Exchange) -> Outcome {
    let id = event_id(&exchange)?;
    let seats = exchange.app().seats.seats(&id).await?;
    let seats = seats.ok_or_else(|| Problem::not_found("there is no such event"))?;
    let body = || Bytes::copy_from_slice(&seats.body);
    Ok(response::tagged(exchange.headers(), seats.etag.clone().into(), PUBLIC_SECOND, body))
}

fn event_id(exchange: &Exchange) -> Result<EventId, Problem> {
    let id = exchange.id(EventId::parse)?;
    trace(field::EVENT, &id);
    Ok(id)
}

/// The event that the path names.
async fn named(exchange: &Exchange) -> Result<Arc<CachedEvent>, Problem> {
    let id = event_id(exchange)?;
    let found = exchange.app().event_cache.event(&id).await?;
    found.ok_or_else(|| Problem::not_found("there is no such event"))
}

async fn shown(exchange: &Exchange, cached: &CachedEvent) -> Result<EventShown, Problem> {
    let app = exchange.app();
    let event = &cached.event;
    let seats = app.seats.seats(&event.id).await?;
    let (available, sold_out) = seats.map_or((0, false), |seats| (seats.available, seats.sold_out));
    let status = app.room.status(&event.queue_id).await?;
    let queue_state = status.map_or(QueueState::Closed, |status| status.state);
    Ok(EventShown::new(event, available, sold_out, queue_state))
}

impl EventShown {
    fn new(event: &Event, available_seats: u64, sold_out: bool, queue_state: QueueState) -> Self {
        let prices = event.layout.price_range();
        Self {
            id: event.id.clone(),
            name: event.name.clone(),
            date: event.date.clone(),
            timezone: event.timezone.clone(),
            venue: event.venue.clone(),
            status: EventStatus::of(queue_state, sold_out),
            currency: event.currency(),
            total_seats: event.layout.total(),
            available_seats,
            on_sale_at: event.on_sale_at.into(),
            queue_id: event.queue_id.clone(),
            queue_state,
            price_from: prices.map(|(low, _)| low),
            price_to: prices.map(|(_, high)| high),
            layout_version: event.layout_version,
            hold_ttl_seconds: event.terms.hold_ttl_seconds,
            seats_per_account_max: event.terms.seats_per_account_max,
        }
    }
}

impl EventStatus {
    fn of(queue: QueueState, sold_out: bool) -> Self {
        match queue {
            QueueState::Closed => Self::Closed,
            QueueState::PreQueue | QueueState::Open | QueueState::Paused if sold_out => {
                Self::SoldOut
            }
            QueueState::PreQueue => Self::Upcoming,
            QueueState::Open | QueueState::Paused => Self::OnSale,
        }
    }
}

fn layout_json(event: &Event) -> Bytes {
    let layout = &event.layout;
    let sections = layout.sections().iter().enumerate().map(|(at, section)| {
        let range = layout.section_places(at);
        let places = &layout.places()[range.start as usize..range.end as usize];
        let (rows, capacity) = match &section.seating {
            Seating::Capacity(capacity) => (None, Some(*capacity)),
            Seating::Rows(rows) => {
                let mut places = places.iter();
                let mut seat = |seat: &Option<String>| {
                    seat.as_ref()
                        .and_then(|_| places.next())
                        .map(|place| SeatShown { id: &place.id, label: &place.label })
                };
                let mut row = |row: &'_ ledger::Row| row.seats.iter().map(&mut seat).collect();
                let rows = rows.iter().map(|r| RowShown { name: &r.name, seats: row(r) });
                (Some(rows.collect()), None)
            }
        };
        let (id, name) = (&section.id, section.name.as_str());
        SectionShown { id, name, price: section.price, rows, capacity }
    });
    let shown = LayoutShown {
        event_id: &event.id,
        layout_version: event.layout_version,
        sections: sections.collect(),
    };
    serde_json::to_vec(&shown).expect("a layout has string keys and whole numbers").into()
}

fn public<T: Serialize>(status: StatusCode, value: &T) -> Response<crate::body::Body> {
    let mut answer = response::json(status, value);
    answer.headers_mut().insert(CACHE_CONTROL, PUBLIC_SECOND);
    answer
}

impl From<Queue> for QueueShown {
    fn from(queue: Queue) -> Self {
        let settings = queue.settings;
        Self {
            queue_id: queue.id,
            state: settings.state,
            rate_per_minute: settings.rate_per_minute,
            capacity: settings.capacity,
            claim_window_seconds: settings.claim_window_seconds,
            return_seconds: settings.return_seconds,
            session_seconds: settings.session_seconds,
            opens_at: queue.opens_at.into(),
        }
    }
}
