//! Seats: locking them, listing one's holds, letting them go.
use crate::api::queue;
use crate::body::Body;
use crate::cookies::Kind;
use crate::exchange::{Exchange, Outcome, field, trace};
use crate::fields::{ERRORS_MAX, FieldError, Fields, Rule};
use crate::idempotency;
use crate::login::Login;
use crate::problem::{Code, Problem};
use crate::response::{self, Listed};
use crate::rules::{Form, either, flag, list, map, parsed, text, whole};
use crate::schemas::{Time, answer};
use allocator::{LockAnswer, LockRequest, ReleaseAnswer, SeatHold, Wish};
use http::header::HeaderMap;
use http::{Response, StatusCode};
use ledger::{
    BookingItem, Event, EventId, HoldId, Layout, Money, PLACES_MAX, PlaceId, QueueId, SectionId,
    SlotRef, Timestamp,
};
use std::sync::Arc;
use waiting_room::{IssuedPass, PassCheck, WalkIn};

/// The most seats one request may name.
const SEATS_MAX: usize = 1_000;

answer! {
    /// Seats that are held for a while, as the answer to a lock.
    struct Locked as "Hold", such as
        r#"{"message": "Seat locked successfully!", "hold_id": "hld_1", "event_id": "evt_1", "seats": ["main-A-1"],
            "items": [{"item": "main-A-1", "seat": "main-A-1", "section": "main", "label": "A-1",
                "offer": "standard", "price": {"minor": 4500, "currency": "EUR"}}],
            "total": {"minor": 4500, "currency": "EUR"}, "expires_at": "2026-05-01T18:02:00Z",
            "expires_in": 120}"# {
        /// A line for people.
        message: &'static str,
        /// The hold's id.
        hold_id: HoldId,
        /// The event whose seats are held.
        event_id: EventId,
        /// The ids of the seats that are held; general admission has none.
        seats: Vec<PlaceId>,
        /// What is held, with its price.
        items: Vec<BookingItem>,
        /// What it costs altogether.
        total: Money,
        /// When the hold ends.
        expires_at: Time,
        /// In how many seconds that is.
        expires_in: i64,
    }
}

answer! {
    /// Seats that are held for a while.
    struct HoldShown as "HeldSeats", such as
        r#"{"hold_id": "hld_1", "event_id": "evt_1", "seats": ["main-A-1"],
            "items": [{"item": "main-A-1", "seat": "main-A-1", "section": "main", "label": "A-1",
                "offer": "standard", "price": {"minor": 4500, "currency": "EUR"}}],
            "total": {"minor": 4500, "currency": "EUR"}, "expires_at": "2026-05-01T18:02:00Z",
            "expires_in": 120}"# {
        /// The hold's id.
        hold_id: HoldId,
        /// The event whose seats are held.
        event_id: EventId,
        /// The ids of the seats that are held; general admission has none.
        seats: Vec<PlaceId>,
        /// What is held, with its price.
        items: Vec<BookingItem>,
        /// What it costs altogether.
        total: Money,
        /// When the hold ends.
        expires_at: Time,
        /// In how many seconds that is.
        expires_in: i64,
    }
}

pub(crate) struct LockForm {
    event_id: EventId,
    user_id: Option<String>,
    wish: WishForm,
}

enum WishForm {
    Seat(SeatName),
    Seats(Vec<SeatName>),
    Best(BestForm),
}

pub(crate) struct BestForm {
    quantity: u32,
    section: Option<SectionId>,
    together: bool,
}

/// Which seats to hold.
pub(crate) static LOCK: Form<LockForm> = Form {
    name: "Lock",
    says: "Which seats to hold: one, several, or the best that are free.",
    example: r#"{"event_id": "evt_1", "seats": ["A-1", "A-2"]}"#,
    fields: lock_form,
};

static BEST: Form<BestForm> = Form {
    name: "BestAvailable",
    says: "The best seats that are free.",
    example: r#"{"quantity": 2, "section": "stalls"}"#,
    fields: |fields| {
        let quantity = fields.required("quantity", whole(1..=PLACES_MAX), "How many seats.");
        let section = parsed(SectionId::parse);
        let section = fields.optional("section", section, "Only in this section.");
        let says = "Whether they must be side by side (the default), or may be apart.";
        let together = fields.optional("together", flag(), says).unwrap_or(true);
        Some(BestForm { quantity: quantity?, section, together })
    },
};

/// A seat as a client names it: by its number in layout order, its id or its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SeatName {
    Number(u64),
    Name(String),
}

pub(crate) async fn lock(mut exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    let received = exchange.receive().await?;
    let form = received.read(&LOCK)?;
    same_user(form.user_id.as_deref(), &login)?;
    let event = event(&exchange, &form.event_id).await?;
    let together = !matches!(&form.wish, WishForm::Best(BestForm { together: false, .. }));
    let wish = wish(&event.layout, form.wish)?;
    let key = idempotency::keyed(exchange.headers(), &received)?;
    if let Some(key) = &key
        && let Some(answer) =
            exchange.app().seats.locked_before(&event, &login.account, key).await?
    {
        let replayed = locked(answer, exchange.now())?;
        return with_live_pass(&exchange, &event.queue_id, &login, replayed).await;
    }
    let (slot, issued) = admission(&exchange, &event, &login).await?;
    let mut carried = HeaderMap::new();
    if let Some(issued) = &issued {
        queue::carry_pass(&exchange, issued, &mut carried);
    }
    let request =
        LockRequest { event, account: login.account, slot: Some(slot), wish, together, key };
    let locked = match exchange.app().seats.lock(request).await {
        Ok(answer) => locked(answer, exchange.now()),
        Err(error) => Err(error.into()),
    };
    // Whoever was admitted keeps the pass, also when the seats were gone.
    match locked {
        Ok(mut answer) => {
            answer.headers_mut().extend(carried);
            Ok(answer)
        }
        Err(problem) => Err(problem.carrying(carried)),
    }
}

/// Whoever came without a pass was given one with the first answer, which may have been lost.
async fn with_live_pass(
    exchange: &Exchange,
    queue: &QueueId,
    login: &Login,
    mut answer: Response<Body>,
) -> Outcome {
    if exchange.credential(Kind::AdmissionPass, queue).is_none()
        && let Some(issued) = exchange.app().room.live_pass(queue, &login.account).await?
    {
        queue::carry_pass(exchange, &issued, answer.headers_mut());
    }
    Ok(answer)
}

pub(crate) async fn mine(exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    let event = exchange.query(event_query)?;
    trace(field::EVENT, &event);
    let holds = exchange.app().seats.holds(&event, &login.account).await?;
    let now = exchange.now();
    let items = holds.into_iter().map(|hold| HoldShown::new(hold, now)).collect();
    Ok(response::json(StatusCode::OK, &Listed { items, next_cursor: None }))
}

pub(crate) async fn release(exchange: Exchange) -> Outcome {
    let login = exchange.login()?;
    let id = exchange.id(HoldId::parse)?;
    trace(field::HOLD, &id);
    match exchange.app().seats.release(&id, &login.account).await? {
        ReleaseAnswer::Released => Ok(response::empty(StatusCode::NO_CONTENT)),
        ReleaseAnswer::NotFound => Err(Problem::not_found("there is no such hold")),
        ReleaseAnswer::NotHolder => Err(not_holder()),
        ReleaseAnswer::Paying => {
            Err(Problem::new(Code::HoldPaying, "the hold is being paid; cancel the booking"))
        }
    }
}

/// The slot that opens the shop: of the pass that was sent, or given on the spot while nobody
/// waits.
async fn admission(
    exchange: &Exchange,
    event: &Event,
    login: &Login,
) -> Result<(SlotRef, Option<IssuedPass>), Problem> {
    let room = &exchange.app().room;
    let queue = &event.queue_id;
    if let Some(sent) = exchange.credential(Kind::AdmissionPass, queue) {
        match room.check_pass(queue, &login.account, sent.text).await? {
            PassCheck::Live(pass) => return Ok((pass.slot, None)),
            // A browser sends old cookies by itself; that is nobody's claim.
            PassCheck::Invalid if sent.by_cookie => {}
            PassCheck::Invalid => {
                let detail = "the pass is not valid for this queue and account";
                return Err(Problem::new(Code::PassInvalid, detail));
            }
        }
    }
    match room.walk_in(queue, &login.account).await? {
        WalkIn::Admitted(issued) => Ok((issued.pass.slot.clone(), Some(issued))),
        WalkIn::QueueRequired => {
            // Nobody is sent to wait for what is gone.
            let left = exchange.app().seats.availability(&event.id).await?;
            if left.is_some_and(|left| left.is_sold_out()) {
                return Err(Problem::new(Code::SoldOut, "the event is sold out"));
            }
            let join = format!("/api/queue/{queue}/join");
            let detail = "people are waiting: join the queue first";
            Err(Problem::new(Code::QueueRequired, detail).with("join", join))
        }
        WalkIn::Closed => Err(Problem::new(Code::QueueClosed, "the queue is closed")),
    }
}

fn locked(answer: LockAnswer, now: Timestamp) -> Outcome {
    let refused = |code, detail: &'static str| Err(Problem::new(code, detail));
    match answer {
        LockAnswer::Held(hold) => {
            trace(field::HOLD, &hold.id);
            let body = Locked::new(hold, now);
            Ok(response::json(StatusCode::OK, &body))
        }
        LockAnswer::Taken => refused(Code::SeatTaken, "Seat already locked!"),
        LockAnswer::SoldOut => refused(Code::SoldOut, "no seats that fit are left"),
        LockAnswer::Apart(left) => {
            let detail = "seats are left, but not enough of them side by side";
            Err(Problem::new(Code::NoAdjacentSeats, detail)
                .with("seats_free", left.free)
                .with("largest_group", left.largest_group))
        }
        LockAnswer::TooMany { max } => Err(too_many(max)),
        LockAnswer::OverCap => refused(Code::SeatsCap, "more seats than one account may have"),
        LockAnswer::Mismatch => Err(idempotency::mismatch()),
        LockAnswer::Expired => refused(Code::HoldExpired, "the hold of this key is over"),
    }
}

/// One request may not ask for more; that is no matter of the account's cap.
fn too_many(max: u32) -> Problem {
    Problem::field("seats", format!("one lock takes at most {max} seats"))
}

/// The event that a body names.
pub(super) async fn event(exchange: &Exchange, id: &EventId) -> Result<Arc<Event>, Problem> {
    trace(field::EVENT, id);
    let found = exchange.app().event_cache.event(id).await?;
    let cached = found.ok_or_else(|| Problem::not_found("there is no such event"))?;
    Ok(cached.event.clone())
}

/// A body may say who is asking; it cannot say somebody else.
pub(super) fn same_user(user_id: Option<&str>, login: &Login) -> Result<(), Problem> {
    match user_id {
        Some(other) if other != login.account.as_str() => {
            Err(Problem::new(Code::UserMismatch, "the user_id is not the one logged in"))
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn not_holder() -> Problem {
    Problem::new(Code::NotHolder, "the hold is somebody else's")
}

fn lock_form(fields: &mut Fields<'_>) -> Option<LockForm> {
    let event_id =
        fields.required("event_id", parsed(EventId::parse), "The event whose seats they are.");
    let user_id = fields.optional("user_id", text(1..=64), USER_ID);
    fields.exactly_one(&["seat_number", "seats", "best_available"]);
    let seat = fields.optional("seat_number", seat_name(), "One seat.");
    let seats = fields.optional("seats", list(1..=SEATS_MAX, seat_name()), "All of these seats.");
    let best = fields.optional("best_available", &BEST, "Whichever are best.");
    let best = best.map(WishForm::Best);
    let wish = seat.map(WishForm::Seat).or(seats.map(WishForm::Seats)).or(best);
    Some(LockForm { event_id: event_id?, user_id, wish: wish? })
}

/// What the field `user_id` is for.
pub(super) const USER_ID: &str =
    "The account that is logged in, for older clients; another one is refused.";

/// The event that a query names.
pub(crate) fn event_query(fields: &mut Fields<'_>) -> Option<EventId> {
    fields.required("event_id", parsed(EventId::parse), "The event whose holds they are.")
}

/// How a client names a seat.
pub(super) fn seat_name() -> impl Rule<Value = SeatName> {
    either(
        map(whole(1..=u64::from(PLACES_MAX)), SeatName::Number),
        map(text(1..=64), SeatName::Name),
        "must be a seat's number, id or label",
    )
}

/// The place that a client means.
pub(super) fn place(layout: &Layout, name: &SeatName) -> Option<u32> {
    match name {
        SeatName::Number(number) => layout.numbered(*number),
        SeatName::Name(name) => layout.find(name).or_else(|| {
            let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
            layout.numbered(name.parse().ok().filter(|_| is_number)?)
        }),
    }
}

fn wish(layout: &Layout, form: WishForm) -> Result<Wish, Problem> {
    match form {
        WishForm::Seat(name) => match place(layout, &name) {
            Some(place) => Ok(Wish::Places(vec![place])),
            None => Err(Problem::field("seat_number", "is not a seat of this event")),
        },
        WishForm::Seats(names) => places(layout, &names).map(Wish::Places),
        WishForm::Best(BestForm { quantity, section, .. }) => {
            let known = |id: &SectionId| layout.sections().iter().any(|section| section.id == *id);
            if section.as_ref().is_none_or(known) {
                return Ok(Wish::Best { quantity, section });
            }
            Err(Problem::field("best_available.section", "is not a section of this event"))
        }
    }
}

fn places(layout: &Layout, names: &[SeatName]) -> Result<Vec<u32>, Problem> {
    let mut places = Vec::with_capacity(names.len());
    let mut errors = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let message = match place(layout, name) {
            Some(place) if places.contains(&place) => "names a seat a second time",
            Some(place) => {
                places.push(place);
                continue;
            }
            None => "is not a seat of this event",
        };
        errors.push(FieldError { field: format!("seats[{at}]"), message: message.to_owned() });
        if errors.len() >= ERRORS_MAX {
            break;
        }
    }
    if errors.is_empty() { Ok(places) } else { Err(Problem::validation(errors)) }
}

impl Locked {
    fn new(hold: SeatHold, now: Timestamp) -> Self {
        let hold = HoldShown::new(hold, now);
        Self {
            message: "Seat locked successfully!",
            hold_id: hold.hold_id,
            event_id: hold.event_id,
            seats: hold.seats,
            items: hold.items,
            total: hold.total,
            expires_at: hold.expires_at,
            expires_in: hold.expires_in,
        }
    }
}

impl HoldShown {
    fn new(hold: SeatHold, now: Timestamp) -> Self {
        Self {
            hold_id: hold.id,
            event_id: hold.event,
            seats: seat_ids(&hold.items),
            total: hold.total,
            expires_at: hold.until.into(),
            expires_in: hold.until.seconds_left(now),
            items: hold.items,
        }
    }
}

/// The seats of some items, by id; general admission has none.
pub(super) fn seat_ids(items: &[BookingItem]) -> Vec<PlaceId> {
    items.iter().filter_map(|item| item.seat.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use ledger::{Currency, Row, Seating, Section};

    fn layout() -> Layout {
        let section = |id: &str, seating| Section {
            id: SectionId::parse(id).unwrap(),
            name: id.to_uppercase(),
            price: Money::new(100, Currency::EUR),
            seating,
        };
        let seats = (1..=3).map(|n| Some(n.to_string())).collect();
        let rows = Seating::Rows(vec![Row { name: "A".into(), seats }]);
        Layout::new(vec![section("stalls", rows), section("floor", Seating::Capacity(2))]).unwrap()
    }

    fn check(body: &str, expected: Result<Wish, &str>) {
        let form = LOCK.read(json::read(body.as_bytes(), 8).unwrap());
        let found = form.map_err(Problem::validation).and_then(|f| wish(&layout(), f.wish));
        let found = found.map_err(|problem| {
            let body = problem.into_response().into_body();
            let body: serde_json::Value = serde_json::from_slice(body.whole().unwrap()).unwrap();
            body["errors"][0]["field"].as_str().unwrap().to_owned()
        });
        assert_eq!(found, expected.map_err(String::from), "{body}");
    }

    #[test]
    fn seats_are_named_in_many_ways() {
        let one = |place| Ok(Wish::Places(vec![place]));
        check(r#"{"eventId": "e", "seatNumber": 2}"#, one(1));
        check(r#"{"event_id": "e", "seat_number": "2"}"#, one(1));
        check(r#"{"event_id": "e", "seat_number": "A-3"}"#, one(2));
        check(r#"{"event_id": "e", "seat_number": "stalls-A-3"}"#, one(2));
        check(r#"{"event_id": "e", "seat_number": 4}"#, one(3));
        check(r#"{"event_id": "e", "seats": ["A-1", 3]}"#, Ok(Wish::Places(vec![0, 2])));
        let best = |section: Option<&str>| {
            let section = section.map(|id| SectionId::parse(id).unwrap());
            Ok(Wish::Best { quantity: 2, section })
        };
        check(r#"{"event_id": "e", "best_available": {"quantity": 2}}"#, best(None));
        check(
            r#"{"event_id": "e", "bestAvailable": {"quantity": 2, "section": "floor"}}"#,
            best(Some("floor")),
        );
    }

    #[test]
    fn wishes_that_cannot_be_are_refused_by_field() {
        check(r#"{"event_id": "e"}"#, Err("seat_number"));
        check(r#"{"event_id": "e", "seat_number": 1, "seats": ["A-1"]}"#, Err("seat_number"));
        check(r#"{"event_id": "e", "seat_number": 6}"#, Err("seat_number"));
        check(r#"{"event_id": "e", "seat_number": 0}"#, Err("seat_number"));
        check(r#"{"event_id": "e", "seat_number": -1}"#, Err("seat_number"));
        check(r#"{"event_id": "e", "seat_number": 1.5}"#, Err("seat_number"));
        check(r#"{"event_id": "e", "seat_number": "+1"}"#, Err("seat_number"));
        check(r#"{"event_id": "e", "seats": []}"#, Err("seats"));
        check(r#"{"event_id": "e", "seats": ["A-1", "1"]}"#, Err("seats[1]"));
        check(r#"{"event_id": "e", "seats": ["A-1", "Z-9"]}"#, Err("seats[1]"));
        check(
            r#"{"event_id": "e", "best_available": {"quantity": 0}}"#,
            Err("best_available.quantity"),
        );
        check(
            r#"{"event_id": "e", "best_available": {"quantity": 1, "section": "x"}}"#,
            Err("best_available.section"),
        );
        check(r#"{"event_id": "e", "seat_number": 1, "price": 1}"#, Err("price"));
        check(r#"{"event_id": "a b", "seat_number": 1}"#, Err("event_id"));
    }
}
