//! Events: what is sold, where, and how much of it is left.
use crate::api::event_form;
use crate::event_shelf::Shelved;
use crate::exchange::{Exchange, Outcome, cursor};
use crate::fields::digits;
use crate::idempotency;
use crate::problem::Problem;
use crate::response::{self, IMMUTABLE, Listed, PUBLIC_SECOND};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use ledger::books::EventCreated;
use ledger::{Currency, Event, EventId, Money, Queue, QueueId, QueueState, Role, Seating};
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct EventShown {
    id: EventId,
    name: String,
    date: String,
    timezone: String,
    venue: String,
    status: EventStatus,
    currency: Currency,
    total_seats: u32,
    available_seats: u64,
    on_sale_at: String,
    queue_id: QueueId,
    queue_state: QueueState,
    price_from: Option<Money>,
    price_to: Option<Money>,
    layout_version: u32,
    hold_ttl_seconds: u32,
    seats_per_account_max: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum EventStatus {
    Upcoming,
    OnSale,
    SoldOut,
    Closed,
}

#[derive(Serialize)]
struct QueueShown {
    queue_id: QueueId,
    state: QueueState,
    rate_per_minute: u32,
    capacity: u32,
    claim_window_seconds: u32,
    return_seconds: u32,
    session_seconds: u32,
    opens_at: String,
}

#[derive(Serialize)]
struct LayoutShown<'e> {
    event_id: &'e EventId,
    layout_version: u32,
    sections: Vec<SectionShown<'e>>,
}

#[derive(Serialize)]
struct SectionShown<'e> {
    id: &'e str,
    name: &'e str,
    price: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<RowShown<'e>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity: Option<u32>,
}

#[derive(Serialize)]
struct RowShown<'e> {
    name: &'e str,
    /// `null` is an aisle.
    seats: Vec<Option<SeatShown<'e>>>,
}

#[derive(Serialize)]
struct SeatShown<'e> {
    id: &'e str,
    label: &'e str,
}

pub(crate) async fn list(exchange: Exchange) -> Outcome {
    let cursor = exchange.query(cursor)?;
    let page = exchange.app().books.events.events(cursor).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for event in page.items {
        items.push(shown(&exchange, &exchange.app().shelf.keep(event)).await?);
    }
    Ok(public(StatusCode::OK, &Listed { items, next_cursor: page.next }))
}

pub(crate) async fn get(exchange: Exchange) -> Outcome {
    exchange.no_query()?;
    let shelved = named(&exchange).await?;
    Ok(public(StatusCode::OK, &shown(&exchange, &shelved).await?))
}

pub(crate) async fn create(mut exchange: Exchange) -> Outcome {
    let login = exchange.login_as(Role::Admin).await?;
    exchange.no_query()?;
    let received = exchange.receive().await?;
    let form = received.read(event_form::read)?;
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
            let queue = app.books.events.queue(&event.queue_id).await?;
            queue.ok_or_else(no_queue)?.settings.state
        }
    };
    match app.books.events.create(&event, settings).await? {
        EventCreated::Created => {}
        EventCreated::NoSuchQueue => return Err(no_queue()),
    }
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
    exchange.no_query()?;
    let patch = exchange.receive().await?.read(event_form::queue_patch)?;
    let shelved = named(&exchange).await?;
    let changed = exchange.app().room.configure(&shelved.event.queue_id, patch).await?;
    let queue = changed.ok_or_else(|| Problem::not_found("the event has no queue"))?;
    Ok(response::json(StatusCode::OK, &QueueShown::from(queue)))
}

pub(crate) async fn layout(exchange: Exchange) -> Outcome {
    let version = exchange.query(|fields| Some(fields.optional("v", digits(0..=u32::MAX))))?;
    let shelved = named(&exchange).await?;
    let event = &shelved.event;
    let etag = format!("\"{}-{}\"", event.id, event.layout_version);
    let cache = if version == Some(event.layout_version) { IMMUTABLE } else { PUBLIC_SECOND };
    Ok(response::tagged(exchange.headers(), etag.into(), cache, || shelved.layout(layout_json)))
}

pub(crate) async fn seats(exchange: Exchange) -> Outcome {
    exchange.no_query()?;
    let id = exchange.id(EventId::parse)?;
    let seats = exchange.app().seats.seats(&id).await?;
    let seats = seats.ok_or_else(|| Problem::not_found("there is no such event"))?;
    let body = || Bytes::copy_from_slice(&seats.body);
    Ok(response::tagged(exchange.headers(), seats.etag.clone().into(), PUBLIC_SECOND, body))
}

/// The event that the path names.
async fn named(exchange: &Exchange) -> Result<Arc<Shelved>, Problem> {
    let id = exchange.id(EventId::parse)?;
    let found = exchange.app().shelf.event(&id).await?;
    found.ok_or_else(|| Problem::not_found("there is no such event"))
}

async fn shown(exchange: &Exchange, shelved: &Shelved) -> Result<EventShown, Problem> {
    let app = exchange.app();
    let event = &shelved.event;
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
            on_sale_at: event.on_sale_at.rfc3339(),
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
                        .map(|place| SeatShown { id: place.id.as_str(), label: &place.label })
                };
                let mut row = |row: &'_ ledger::Row| row.seats.iter().map(&mut seat).collect();
                let rows = rows.iter().map(|r| RowShown { name: &r.name, seats: row(r) });
                (Some(rows.collect()), None)
            }
        };
        let (id, name) = (section.id.as_str(), section.name.as_str());
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
            opens_at: queue.opens_at.rfc3339(),
        }
    }
}
