//! The forms by which admins make events and steer queues.
use crate::fields::{self, Fields, Wrong, list, object, parsed, text, whole};
use crate::json::{self, Json};
use crate::problem::Problem;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledger::{
    Currency, DEFAULT_PRICE, Event, EventId, IdSource, Layout, Money, PLACES_MAX, QueueId,
    QueuePatch, QueueSettings, QueueState, Row, SaleTerms, Seating, Section, SectionId, Timestamp,
};
use std::sync::Arc;

/// An event's sections, rows and seats nest this deep, and no deeper.
const JSON_DEPTH_MAX: u8 = 16;
const NAME_MAX: usize = 200;
const SECTIONS_MAX: usize = 1_000;
const ROWS_MAX: usize = 2_000;
const ROW_SEATS_MAX: u32 = 2_000;
const PRICE_MAX: i64 = 1_000_000_000_000;
const RATE_MAX: u32 = 100_000_000;
const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;

/// What an admin says about a new event.
pub(crate) struct EventForm {
    name: String,
    date: String,
    timezone: String,
    venue: String,
    on_sale_at: Option<Timestamp>,
    terms: SaleTerms,
    seats: Seats,
    queue_id: Option<QueueId>,
    queue: QueuePatch,
}

/// Reads an event from the JSON that `POST /api/events` takes, for whoever makes one without HTTP.
/// With it come the settings of its queue, unless it joins one that exists. The error is one line.
pub fn parse_event(
    body: &[u8],
    ids: &IdSource,
    now: Timestamp,
) -> Result<(Event, Option<QueueSettings>), String> {
    let json = json::read(body, JSON_DEPTH_MAX).map_err(|error| error.to_string())?;
    let form = fields::read(json, read).map_err(Problem::validation);
    form.and_then(|form| form.event(ids.event(now), now)).map_err(|problem| problem.line())
}

enum Seats {
    Total(u32),
    Sections(Vec<Section>),
}

pub(crate) fn read(fields: &mut Fields<'_>) -> Option<EventForm> {
    let name = fields.required("name", text(1..=NAME_MAX));
    let date = fields.required("date", date);
    let venue = fields.required("venue", text(1..=NAME_MAX));
    let timezone = fields.optional("timezone", timezone);
    let on_sale_at = fields.optional("on_sale_at", time);
    let terms = terms(fields);
    let seats = seats(fields);
    if fields.has("queue_id") && fields.has("queue") {
        fields.wrong("queue", "must not come with queue_id: that queue has its settings");
    }
    let queue_id = fields.optional("queue_id", parsed(QueueId::parse));
    let queue = fields.optional("queue", object(queue_patch));
    Some(EventForm {
        name: name?,
        date: date?,
        timezone: timezone.unwrap_or_else(|| "UTC".to_owned()),
        venue: venue?,
        on_sale_at,
        terms,
        seats: seats?,
        queue_id,
        queue: queue.unwrap_or_default(),
    })
}

/// The settings of a queue that are to change.
pub(crate) fn queue_patch(fields: &mut Fields<'_>) -> Option<QueuePatch> {
    let state = |text: &str| {
        QueueState::parse(text).ok_or("must be one of pre_queue, open, paused, closed")
    };
    Some(QueuePatch {
        state: fields.optional("state", parsed(state)),
        rate_per_minute: fields.optional("rate_per_minute", whole(1..=RATE_MAX)),
        capacity: fields.optional("capacity", whole(1..=RATE_MAX)),
        claim_window_seconds: fields.optional("claim_window_seconds", whole(1..=HOUR)),
        return_seconds: fields.optional("return_seconds", whole(0..=DAY)),
        session_seconds: fields.optional("session_seconds", whole(1..=DAY)),
    })
}

impl EventForm {
    /// The event, and the settings of its queue unless it joins one that exists.
    pub(crate) fn event(
        self,
        id: EventId,
        now: Timestamp,
    ) -> Result<(Event, Option<QueueSettings>), Problem> {
        let layout = match self.seats {
            Seats::Total(total) => Layout::plain(total, DEFAULT_PRICE),
            Seats::Sections(sections) => Layout::new(sections),
        };
        let layout = layout.map_err(|error| Problem::field(error.field, error.message))?;
        let on_sale_at = self.on_sale_at.unwrap_or(now);
        let opens_later = on_sale_at > now;
        let state = if opens_later { QueueState::PreQueue } else { QueueState::Open };
        let settings = QueueSettings { state, ..QueueSettings::default() };
        let own_queue = self.queue_id.is_none().then(|| self.queue.applied_to(settings));
        let event = Event {
            queue_id: self.queue_id.unwrap_or_else(|| QueueId::from(&id)),
            id,
            name: self.name,
            date: self.date,
            timezone: self.timezone,
            venue: self.venue,
            on_sale_at,
            terms: self.terms,
            layout_version: 1,
            layout: Arc::new(layout),
            created_at: now,
        };
        Ok((event, own_queue))
    }
}

fn terms(fields: &mut Fields<'_>) -> SaleTerms {
    let defaults = SaleTerms::default();
    let mut seconds = |name, default| fields.optional(name, whole(1..=HOUR)).unwrap_or(default);
    let hold_ttl_seconds = seconds("hold_ttl_seconds", defaults.hold_ttl_seconds);
    let payment_deadline_seconds =
        seconds("payment_deadline_seconds", defaults.payment_deadline_seconds);
    let most = fields.optional("seats_per_account_max", whole(1..=PLACES_MAX));
    SaleTerms {
        hold_ttl_seconds,
        payment_deadline_seconds,
        seats_per_account_max: most.unwrap_or(defaults.seats_per_account_max),
    }
}

fn seats(fields: &mut Fields<'_>) -> Option<Seats> {
    match (fields.has("total_seats"), fields.has("sections")) {
        (true, false) => fields.optional("total_seats", whole(1..=PLACES_MAX)).map(Seats::Total),
        (false, true) => {
            fields.optional("sections", list(1..=SECTIONS_MAX, section)).map(Seats::Sections)
        }
        (true, true) => {
            fields.wrong("total_seats", "must not come with sections");
            fields.optional("total_seats", Ok::<_, Wrong>);
            fields.optional("sections", Ok::<_, Wrong>);
            None
        }
        (false, false) => {
            fields.wrong("total_seats", "is required, or sections");
            None
        }
    }
}

fn section(json: Json) -> Result<Section, Wrong> {
    object(|fields: &mut Fields<'_>| {
        let id = fields.required("id", parsed(SectionId::parse));
        let name = fields.required("name", text(1..=NAME_MAX));
        let price = fields.optional("price", object(money));
        let seating = match (fields.has("rows"), fields.has("capacity")) {
            (true, false) => fields.optional("rows", list(1..=ROWS_MAX, row)).map(Seating::Rows),
            (false, true) => {
                fields.optional("capacity", whole(1..=PLACES_MAX)).map(Seating::Capacity)
            }
            (true, true) => {
                fields.wrong("capacity", "must not come with rows");
                fields.optional("rows", Ok::<_, Wrong>);
                fields.optional("capacity", Ok::<_, Wrong>);
                None
            }
            (false, false) => {
                fields.wrong("rows", "is required, or capacity");
                None
            }
        };
        let price = price.unwrap_or(DEFAULT_PRICE);
        Some(Section { id: id?, name: name?, price, seating: seating? })
    })(json)
}

fn row(json: Json) -> Result<Row, Wrong> {
    object(|fields: &mut Fields<'_>| {
        let name = fields.required("name", text(1..=64));
        let seats = fields.required("seats", row_seats);
        Some(Row { name: name?, seats: seats? })
    })(json)
}

/// A number of seats, or their names with `null` for an aisle.
fn row_seats(json: Json) -> Result<Vec<Option<String>>, Wrong> {
    match json {
        Json::List(_) => list(1..=ROW_SEATS_MAX as usize, seat)(json),
        Json::Whole(_) => {
            let count = whole(1..=ROW_SEATS_MAX)(json)?;
            Ok((1..=count).map(|n| Some(n.to_string())).collect())
        }
        Json::Null | Json::Bool(_) | Json::Fraction(_) | Json::Text(_) | Json::Object(_) => {
            Err("must be a number of seats or a list of their names".into())
        }
    }
}

fn seat(json: Json) -> Result<Option<String>, Wrong> {
    match json {
        Json::Null => Ok(None),
        Json::Text(_) => text(1..=64)(json).map(Some),
        Json::Bool(_) | Json::Whole(_) | Json::Fraction(_) | Json::List(_) | Json::Object(_) => {
            Err("must be a text, or null for an aisle".into())
        }
    }
}

fn money(fields: &mut Fields<'_>) -> Option<Money> {
    let minor = fields.required("minor", whole(0..=PRICE_MAX));
    let currency = fields.required("currency", parsed(Currency::parse));
    Some(Money::new(minor?, currency?))
}

fn time(json: Json) -> Result<Timestamp, Wrong> {
    let parse = |text: &str| Timestamp::parse_rfc3339(text).ok_or("must be an RFC 3339 time");
    parsed(parse)(json)
}

/// An RFC 3339 time or a date alone, kept as it was written.
fn date(json: Json) -> Result<String, Wrong> {
    parsed(|text: &str| {
        let is_date = text.len() == 10 && text.parse::<Date>().is_ok();
        if is_date || Timestamp::parse_rfc3339(text).is_some() {
            Ok(text.to_owned())
        } else {
            Err("must be a date (2026-05-01) or an RFC 3339 time")
        }
    })(json)
}

fn timezone(json: Json) -> Result<String, Wrong> {
    parsed(|name: &str| match TimeZone::get(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err("must be an IANA time zone, such as Europe/Vienna"),
    })(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldError;
    use crate::{fields, json};

    fn form(body: &str) -> Result<EventForm, Vec<FieldError>> {
        fields::read(json::read(body.as_bytes(), 16).unwrap(), read)
    }

    fn event(body: &str) -> (Event, Option<QueueSettings>) {
        let id = EventId::parse("evt_1").unwrap();
        let form = form(body).map_err(|errors| panic!("{errors:?}")).ok().unwrap();
        form.event(id, Timestamp::from_millis(1_000)).ok().unwrap()
    }

    #[test]
    fn the_oldest_form_is_enough() {
        let (event, queue) =
            event(r#"{"name": "A", "date": "2026-05-01", "venue": "V", "total_seats": 3}"#);
        assert_eq!(event.layout.total(), 3);
        assert_eq!(event.queue_id.as_str(), "evt_1");
        assert_eq!(event.terms, SaleTerms::default());
        assert_eq!(queue, Some(QueueSettings::default()));
    }

    #[test]
    fn the_full_form_is_taken_whole() {
        let (event, queue) = event(
            r#"{"name": "A", "date": "2026-05-01T20:00:00+02:00", "venue": "V",
                "timezone": "Europe/Vienna", "onSaleAt": "2026-01-01T00:00:00Z",
                "holdTtlSeconds": 60, "seats_per_account_max": 4,
                "queue": {"rate_per_minute": 10, "capacity": 5},
                "sections": [
                    {"id": "stalls", "name": "Stalls", "price": {"minor": 900, "currency": "USD"},
                     "rows": [{"name": "A", "seats": 2}, {"name": "B", "seats": ["1", null, "3"]}]},
                    {"id": "floor", "name": "Floor", "price": {"minor": 0, "currency": "USD"},
                     "capacity": 10}]}"#,
        );
        assert_eq!(event.layout.total(), 14);
        assert_eq!(event.layout.find("stalls-B-3"), Some(3));
        assert_eq!(event.terms.hold_ttl_seconds, 60);
        let queue = queue.unwrap();
        assert_eq!((queue.rate_per_minute, queue.capacity), (10, 5));
        assert_eq!(queue.state, QueueState::PreQueue, "it goes on sale later");
    }

    #[test]
    fn a_named_queue_keeps_its_settings() {
        let base = r#""name": "A", "date": "2026-05-01", "venue": "V", "total_seats": 1"#;
        let (event, queue) = event(&format!(r#"{{{base}, "queue_id": "q"}}"#));
        assert_eq!((event.queue_id.as_str(), queue), ("q", None));
        let both = form(&format!(r#"{{{base}, "queue_id": "q", "queue": {{}}}}"#));
        assert_eq!(both.err().unwrap()[0].field, "queue");
    }

    #[test]
    fn wrong_fields_are_named() {
        let base = r#""name": "A", "date": "2026-05-01", "venue": "V""#;
        for (rest, field) in [
            ("", "total_seats"),
            (r#", "total_seats": 0"#, "total_seats"),
            (r#", "total_seats": 200001"#, "total_seats"),
            (r#", "total_seats": 1, "sections": []"#, "total_seats"),
            (r#", "total_seats": 1, "timezone": "Mars/Olympus""#, "timezone"),
            (r#", "total_seats": 1, "on_sale_at": "tomorrow""#, "on_sale_at"),
            (r#", "total_seats": 1, "queue": {"state": "ajar"}"#, "queue.state"),
            (r#", "total_seats": 1, "price": 5"#, "price"),
            (r#", "sections": [{"id": "a b", "name": "A", "capacity": 1}]"#, "sections[0].id"),
            (r#", "sections": [{"id": "a", "name": "A"}]"#, "sections[0].rows"),
            (
                r#", "sections": [{"id": "a", "name": "A",
                     "rows": [{"name": "A", "seats": [1]}]}]"#,
                "sections[0].rows[0].seats[0]",
            ),
            (
                r#", "sections": [{"id": "a", "name": "A", "capacity": 1,
                     "price": {"minor": 1.5, "currency": "EUR"}}]"#,
                "sections[0].price.minor",
            ),
        ] {
            let errors = form(&format!("{{{base}{rest}}}")).err().unwrap();
            let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, [field], "{rest}");
        }
        for date in ["2026-13-01", "2026-05-01T20:00", "01.05.2026", "20260501", ""] {
            let body =
                format!(r#"{{"name": "A", "date": "{date}", "venue": "V", "total_seats": 1}}"#);
            assert_eq!(form(&body).err().unwrap()[0].field, "date", "{date}");
        }
    }
}
