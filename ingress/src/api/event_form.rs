//! The forms by which admins make events and steer queues.
use crate::fields::{Fields, Rule};
use crate::json;
use crate::problem::Problem;
use crate::rules::{Form, Null, either, list, map, parsed, parsed_as, text, whole};
use crate::schemas::{Described, Time};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledger::{
    Currency, DEFAULT_PRICE, Event, EventId, IdSource, Layout, Money, PLACES_MAX, QueueId,
    QueuePatch, QueueSettings, QueueState, Row, SaleTerms, Seating, Section, SectionId, Timestamp,
};
use serde_json::json;
use std::sync::Arc;

/// An event's sections, rows and seats nest this deep, and no deeper.
const JSON_DEPTH_MAX: u8 = 16;
const NAME_MAX: usize = 200;
const SEAT_NAME_MAX: usize = 64;
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
    let form = NEW_EVENT.read(json).map_err(Problem::validation);
    form.and_then(|form| form.event(ids.event(now), now)).map_err(|problem| problem.line())
}

enum Seats {
    Total(u32),
    Sections(Vec<SectionForm>),
}

/// A section as it was sent: seats that are only counted are not made yet.
struct SectionForm {
    id: SectionId,
    name: String,
    price: Money,
    seating: SeatingForm,
}

enum SeatingForm {
    Rows(Vec<RowForm>),
    Capacity(u32),
}

struct RowForm {
    name: String,
    seats: RowSeats,
}

enum RowSeats {
    Count(u32),
    /// `None` is an aisle.
    Names(Vec<Option<String>>),
}

/// A new event.
pub(crate) static NEW_EVENT: Form<EventForm> = Form {
    name: "NewEvent",
    says: "A new event, with a queue of its own unless it names one.",
    example: r#"{
        "name": "Night", "date": "2026-05-01T20:00:00+02:00", "venue": "Hall",
        "timezone": "Europe/Vienna", "on_sale_at": "2026-03-01T09:00:00Z",
        "sections": [
            {"id": "stalls", "name": "Stalls", "price": {"minor": 9000, "currency": "EUR"},
             "rows": [{"name": "A", "seats": 20}, {"name": "B", "seats": ["1", null, "2"]}]},
            {"id": "floor", "name": "Floor", "price": {"minor": 4500, "currency": "EUR"},
             "capacity": 800}],
        "queue": {"rate_per_minute": 600, "capacity": 500}}"#,
    fields: new_event,
};

/// The settings of a queue that are to change.
pub(crate) static QUEUE_PATCH: Form<QueuePatch> = Form {
    name: "QueuePatch",
    says: "The settings of a queue that are to change; what is left out stays.",
    example: r#"{"state": "open", "rate_per_minute": 600}"#,
    fields: queue_patch,
};

static NEW_SECTION: Form<SectionForm> = Form {
    name: "NewSection",
    says: "A section of a new event: rows of seats, or places without numbers.",
    example: r#"{"id": "floor", "name": "Floor", "price": {"minor": 4500, "currency": "EUR"},
        "capacity": 800}"#,
    fields: section,
};

static NEW_ROW: Form<RowForm> = Form {
    name: "NewRow",
    says: "A row of seats.",
    example: r#"{"name": "B", "seats": ["1", null, "2"]}"#,
    fields: |fields| {
        let name = fields.required("name", text(1..=SEAT_NAME_MAX), "The row's name.");
        let says = "How many seats, numbered from 1; or their names, null for an aisle.";
        let seats = fields.required("seats", row_seats(), says);
        Some(RowForm { name: name?, seats: seats? })
    },
};

static NEW_MONEY: Form<Money> = Form {
    name: "NewMoney",
    says: "A price.",
    example: r#"{"minor": 4500, "currency": "EUR"}"#,
    fields: |fields| {
        let says = "The amount in the currency's minor unit, such as cents.";
        let minor = fields.required("minor", whole(0..=PRICE_MAX), says);
        let says = "The currency by its ISO 4217 code; one for the whole event.";
        let currency = fields.required("currency", parsed(Currency::parse), says);
        Some(Money::new(minor?, currency?))
    },
};

fn new_event(fields: &mut Fields<'_>) -> Option<EventForm> {
    let name = fields.required("name", text(1..=NAME_MAX), "The name that people see.");
    let says = "When it takes place: a date, or an RFC 3339 time.";
    let date = fields.required("date", date(), says);
    let venue = fields.required("venue", text(1..=NAME_MAX), "Where it takes place.");
    let says = "The time zone of the date, by its IANA name; UTC where it is left out.";
    let timezone = fields.optional("timezone", timezone(), says);
    let time = parsed_as(
        |text| Timestamp::parse_rfc3339(text).ok_or("must be an RFC 3339 time"),
        Time::schema,
    );
    let on_sale_at = fields.optional("on_sale_at", time, "When the sale begins; at once if not.");
    let terms = terms(fields);
    let seats = seats(fields);
    fields.not_with("queue", "queue_id", "that queue has its settings");
    let says = "A queue to share with other events.";
    let queue_id = fields.optional("queue_id", parsed(QueueId::parse), says);
    let queue = fields.optional("queue", &QUEUE_PATCH, "How its own queue admits people.");
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

fn queue_patch(fields: &mut Fields<'_>) -> Option<QueuePatch> {
    let state = parsed(|text| {
        QueueState::parse(text).ok_or("must be one of pre_queue, open, paused, closed")
    });
    Some(QueuePatch {
        state: fields.optional("state", state, "Whether the queue lets people in."),
        rate_per_minute: fields.optional(
            "rate_per_minute",
            whole(1..=RATE_MAX),
            "How many are called in a minute at most.",
        ),
        capacity: fields.optional(
            "capacity",
            whole(1..=RATE_MAX),
            "How many may be inside at once.",
        ),
        claim_window_seconds: fields.optional(
            "claim_window_seconds",
            whole(1..=HOUR),
            "How long a place that was called has to claim.",
        ),
        return_seconds: fields.optional(
            "return_seconds",
            whole(0..=DAY),
            "How long a place that did not claim may still come back.",
        ),
        session_seconds: fields.optional(
            "session_seconds",
            whole(1..=DAY),
            "How long somebody who was admitted may stay.",
        ),
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
            Seats::Sections(sections) => {
                // Counted before they are made: a short text may ask for very many.
                let places: u64 = sections.iter().map(SectionForm::places).sum();
                if places > PLACES_MAX.into() {
                    let message = format!("an event has at most {PLACES_MAX} seats");
                    return Err(Problem::field("sections", message));
                }
                Layout::new(sections.into_iter().map(SectionForm::section).collect())
            }
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

impl SectionForm {
    fn places(&self) -> u64 {
        match &self.seating {
            SeatingForm::Capacity(capacity) => (*capacity).into(),
            SeatingForm::Rows(rows) => rows.iter().map(RowForm::places).sum(),
        }
    }

    fn section(self) -> Section {
        let seating = match self.seating {
            SeatingForm::Capacity(capacity) => Seating::Capacity(capacity),
            SeatingForm::Rows(rows) => Seating::Rows(rows.into_iter().map(RowForm::row).collect()),
        };
        Section { id: self.id, name: self.name, price: self.price, seating }
    }
}

impl RowForm {
    fn places(&self) -> u64 {
        match &self.seats {
            RowSeats::Count(count) => (*count).into(),
            RowSeats::Names(names) => names.iter().flatten().count() as u64,
        }
    }

    fn row(self) -> Row {
        let seats = match self.seats {
            RowSeats::Count(count) => (1..=count).map(|n| Some(n.to_string())).collect(),
            RowSeats::Names(names) => names,
        };
        Row { name: self.name, seats }
    }
}

fn terms(fields: &mut Fields<'_>) -> SaleTerms {
    let defaults = SaleTerms::default();
    let hold = fields.optional(
        "hold_ttl_seconds",
        whole(1..=HOUR),
        "How long a hold lasts before it is paid.",
    );
    let deadline = fields.optional(
        "payment_deadline_seconds",
        whole(1..=HOUR),
        "How long a payment may take before it is given up.",
    );
    let most = fields.optional(
        "seats_per_account_max",
        whole(1..=PLACES_MAX),
        "How many seats one account may have.",
    );
    SaleTerms {
        hold_ttl_seconds: hold.unwrap_or(defaults.hold_ttl_seconds),
        payment_deadline_seconds: deadline.unwrap_or(defaults.payment_deadline_seconds),
        seats_per_account_max: most.unwrap_or(defaults.seats_per_account_max),
    }
}

fn seats(fields: &mut Fields<'_>) -> Option<Seats> {
    fields.exactly_one(&["total_seats", "sections"]);
    let says = "So many seats in rows, at 45.00 EUR each.";
    let total = fields.optional("total_seats", whole(1..=PLACES_MAX), says);
    let sections = list(1..=SECTIONS_MAX, &NEW_SECTION);
    let sections = fields.optional("sections", sections, "The sections, in layout order.");
    total.map(Seats::Total).or(sections.map(Seats::Sections))
}

fn section(fields: &mut Fields<'_>) -> Option<SectionForm> {
    let says = "The section's id, unique in the event; ids of seats begin with it.";
    let id = fields.required("id", parsed(SectionId::parse), says);
    let name = fields.required("name", text(1..=NAME_MAX), "The name that people see.");
    let says = "What each of its places costs; 45.00 EUR where it is left out.";
    let price = fields.optional("price", &NEW_MONEY, says);
    fields.exactly_one(&["rows", "capacity"]);
    let rows = fields.optional("rows", list(1..=ROWS_MAX, &NEW_ROW), "The rows, front to back.");
    let says = "How many places there are without numbers.";
    let capacity = fields.optional("capacity", whole(1..=PLACES_MAX), says);
    let seating = rows.map(SeatingForm::Rows).or(capacity.map(SeatingForm::Capacity));
    let price = price.unwrap_or(DEFAULT_PRICE);
    Some(SectionForm { id: id?, name: name?, price, seating: seating? })
}

/// A number of seats, or their names with `null` for an aisle.
fn row_seats() -> impl Rule<Value = RowSeats> {
    let seat = either(
        map(text(1..=SEAT_NAME_MAX), Some),
        map(Null, |()| None),
        "must be a text, or null for an aisle",
    );
    either(
        map(whole(1..=ROW_SEATS_MAX), RowSeats::Count),
        map(list(1..=ROW_SEATS_MAX as usize, seat), RowSeats::Names),
        "must be a number of seats or a list of their names",
    )
}

/// An RFC 3339 time or a date alone, kept as it was written.
fn date() -> impl Rule<Value = String> {
    let parse = |text: &str| {
        let is_date = text.len() == 10 && text.parse::<Date>().is_ok();
        if is_date || Timestamp::parse_rfc3339(text).is_some() {
            Ok(text.to_owned())
        } else {
            Err("must be a date (2026-05-01) or an RFC 3339 time")
        }
    };
    parsed_as(parse, |_| json!({ "type": "string", "minLength": 10 }))
}

fn timezone() -> impl Rule<Value = String> {
    let parse = |name: &str| match TimeZone::get(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err("must be an IANA time zone, such as Europe/Vienna"),
    };
    parsed_as(parse, |_| json!({ "type": "string", "minLength": 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::FieldError;

    fn form(body: &str) -> Result<EventForm, Vec<FieldError>> {
        NEW_EVENT.read(json::read(body.as_bytes(), 16).unwrap())
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
