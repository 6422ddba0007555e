//! The one table of routes: what is served, what is refused with 405, and what the OpenAPI
//! document says, all come from here.
use crate::api::{auth, bookings, event_form, events, holds, meta, queue, stream, tickets};
use crate::config::Config;
use crate::exchange::{Exchange, NOTHING, Outcome, cursor};
use crate::fields::describe_object;
use crate::problem::Code;
use crate::rules::Body;
use crate::schemas::{Described, Schemas, page_of};
use futures_util::future::BoxFuture;
use http::Method;
use serde_json::Value;
use waiting_room::Standing;

/// What a route does with a request.
pub(crate) type Handler = fn(Exchange) -> BoxFuture<'static, Outcome>;

/// Makes a schema, or a reference to one.
pub(crate) type Schema = fn(&mut Schemas) -> Value;

/// Makes the schema of a query, within the bounds of a configuration.
pub(crate) type Query = fn(&Config, &mut Schemas) -> Value;

/// How a route is run.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// The status of a queue: from memory where it is there, else like any read.
    Watch(Handler),
    /// Changes nothing; ends with its client.
    Read(Handler),
    /// Changes something; goes on without its client (`effects-outlive-clients`).
    Change(Handler),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Anyone,
    /// Anyone; a login is used if there is one.
    MaybeLogin,
    Login,
    Admin,
    Gate,
    /// Whoever shows a queue token.
    Token,
    TokenAndLogin,
    TokenOrPass,
    /// A login; a pass too while people wait.
    PassAndLogin,
}

/// What an answer looks like: JSON of a schema, or another kind of content.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Json(Schema),
    Empty,
    Events,
    Svg,
    Png,
}

#[derive(Clone, Copy)]
pub(crate) struct Route {
    pub verb: Verb,
    pub path: &'static str,
    /// The operation's id in the document.
    pub id: &'static str,
    pub summary: &'static str,
    pub who: Who,
    /// The form of the body.
    pub request: Option<&'static dyn Body>,
    /// The query parameters, as an object.
    pub query: Option<Query>,
    /// Whether an `Idempotency-Key` counts.
    pub keyed: bool,
    /// Whether cookies are read or set: pages of other sites are refused then.
    pub cookies: bool,
    /// Whether `If-None-Match` counts.
    pub tagged: bool,
    pub answers: &'static [(u16, Shape)],
    /// Refusals of its own, beside those that every route has.
    pub refusals: &'static [Code],
    pub run: Run,
}

impl Verb {
    pub(crate) fn of(method: &Method) -> Option<Self> {
        match method.as_str() {
            // HEAD is a GET whose body is not sent.
            "GET" | "HEAD" => Some(Self::Get),
            "POST" => Some(Self::Post),
            "PATCH" => Some(Self::Patch),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl Route {
    const fn new(verb: Verb, path: &'static str, id: &'static str, run: Run) -> Self {
        Self {
            verb,
            path,
            id,
            summary: "",
            who: Who::Anyone,
            request: None,
            query: None,
            keyed: false,
            cookies: false,
            tagged: false,
            answers: &[],
            refusals: &[],
            run,
        }
    }

    const fn get(path: &'static str, id: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Get, path, id, Run::Read(handler))
    }

    const fn post(path: &'static str, id: &'static str, handler: Handler) -> Self {
        Self::new(Verb::Post, path, id, Run::Change(handler))
    }

    const fn says(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    const fn who(self, who: Who) -> Self {
        Self { who, ..self }
    }

    const fn takes(self, form: &'static dyn Body) -> Self {
        Self { request: Some(form), ..self }
    }

    const fn query(self, query: Query) -> Self {
        Self { query: Some(query), ..self }
    }

    const fn keyed(self) -> Self {
        Self { keyed: true, ..self }
    }

    const fn cookies(self) -> Self {
        Self { cookies: true, ..self }
    }

    const fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    const fn answers(self, answers: &'static [(u16, Shape)]) -> Self {
        Self { answers, ..self }
    }

    const fn refuses(self, refusals: &'static [Code]) -> Self {
        Self { refusals, ..self }
    }
}

use Shape::{Empty, Events, Json, Png, Svg};

/// Every route of the public listener.
pub(crate) static ROUTES: [Route; 28] = [
    Route::post("/api/auth/register", "register", |x| Box::pin(auth::register(x)))
        .says("Make an account")
        .takes(&auth::REGISTRATION)
        .keyed()
        .answers(&[(201, Json(auth::Registered::schema))])
        .refuses(&[Code::UsernameTaken]),
    Route::new(Verb::Post, "/api/auth/login", "login", Run::Read(|x| Box::pin(auth::login(x))))
        .says("Log in")
        .takes(&auth::CREDENTIALS)
        .answers(&[(200, Json(auth::LoggedIn::schema))])
        .refuses(&[Code::Unauthenticated]),
    Route::get("/.well-known/jwks.json", "get_jwks", |x| Box::pin(meta::jwks(x)))
        .says("The public keys of passes and tickets")
        .answers(&[(200, Json(meta::KeysShown::schema))]),
    Route::get("/openapi.json", "get_openapi", |x| Box::pin(meta::openapi(x)))
        .says("This document")
        .answers(&[(200, Json(meta::DocumentShown::schema))]),
    Route::get("/api/events", "list_events", |x| Box::pin(events::list(x)))
        .says("Events in order of creation")
        .query(|_, to| describe_object(to, cursor))
        .answers(&[(200, Json(|to| page_of::<events::EventShown>("Events", to)))]),
    Route::post("/api/events", "create_event", |x| Box::pin(events::create(x)))
        .says("Make an event, with its queue unless it names one")
        .who(Who::Admin)
        .takes(&event_form::NEW_EVENT)
        .keyed()
        .answers(&[(201, Json(events::EventShown::schema))]),
    Route::get("/api/events/{id}", "get_event", |x| Box::pin(events::get(x)))
        .says("One event")
        .answers(&[(200, Json(events::EventShown::schema))])
        .refuses(&[Code::NotFound]),
    Route::new(
        Verb::Patch,
        "/api/events/{id}/queue",
        "patch_queue",
        Run::Change(|x| Box::pin(events::patch_queue(x))),
    )
    .says("Change how the event's queue admits people, at once")
    .who(Who::Admin)
    .takes(&event_form::QUEUE_PATCH)
    .answers(&[(200, Json(events::QueueShown::schema))])
    .refuses(&[Code::NotFound]),
    Route::get("/api/events/{id}/layout", "get_layout", |x| Box::pin(events::layout(x)))
        .says("Sections, rows, seats and prices; immutable with its version in v")
        .query(|_, to| describe_object(to, events::layout_query))
        .tagged()
        .answers(&[(200, Json(events::LayoutShown::schema))])
        .refuses(&[Code::NotFound]),
    Route::get("/api/events/{id}/seats", "get_seats", |x| Box::pin(events::seats(x)))
        .says("Which seats are free, in layout order, aisles left out")
        .tagged()
        .answers(&[(200, Json(events::SeatsShown::schema))])
        .refuses(&[Code::NotFound]),
    Route::post("/api/queue/{queue}/join", "join_queue", |x| Box::pin(queue::join(x)))
        .says("Join the line, or show a token and keep its place")
        .cookies()
        .who(Who::MaybeLogin)
        .takes(&NOTHING)
        .keyed()
        .answers(&[
            (201, Json(queue::JoinedShown::schema)),
            (200, Json(queue::JoinedShown::schema)),
        ])
        .refuses(&[Code::NotFound, Code::QueueClosed]),
    Route::new(
        Verb::Get,
        "/api/queue/{queue}",
        "get_queue",
        Run::Watch(|x| Box::pin(queue::watch(x))),
    )
    .says("What the queue tells everyone who watches it")
    .tagged()
    .answers(&[(200, Json(queue::StatusShown::schema))])
    .refuses(&[Code::NotFound]),
    Route::get("/api/queue/{queue}/me", "get_standing", |x| Box::pin(queue::me(x)))
        .says("Where the token's place stands")
        .cookies()
        .who(Who::Token)
        .answers(&[(200, Json(Standing::schema))])
        .refuses(&[Code::TokenUsed]),
    Route::get("/api/queue/{queue}/stream", "stream_standing", |x| Box::pin(stream::stream(x)))
        .says("The same as server-sent events, each time it changes")
        .cookies()
        .who(Who::Token)
        .answers(&[(200, Events), (204, Empty)])
        .refuses(&[Code::NotFound]),
    Route::post("/api/queue/{queue}/pass", "claim_pass", |x| Box::pin(queue::claim(x)))
        .says("Be admitted: 200 with the pass, 202 while it is not one's turn")
        .cookies()
        .who(Who::TokenAndLogin)
        .takes(&NOTHING)
        .keyed()
        .answers(&[(200, Json(queue::PassShown::schema)), (202, Json(Standing::schema))])
        .refuses(&[Code::TokenUsed, Code::Missed, Code::QueueClosed]),
    Route::new(
        Verb::Delete,
        "/api/queue/{queue}/me",
        "leave_queue",
        Run::Change(|x| Box::pin(queue::leave(x))),
    )
    .says("Give the place or the slot back")
    .cookies()
    .who(Who::TokenOrPass)
    .answers(&[(204, Empty)])
    .refuses(&[Code::TokenUsed]),
    Route::post("/api/tickets/lock", "lock_seats", |x| Box::pin(holds::lock(x)))
        .says("Hold seats for a while, all of them or none")
        .cookies()
        .who(Who::PassAndLogin)
        .takes(&holds::LOCK)
        .keyed()
        .answers(&[(200, Json(holds::Locked::schema))])
        .refuses(&[
            Code::NotFound,
            Code::QueueRequired,
            Code::PassInvalid,
            Code::UserMismatch,
            Code::SeatTaken,
            Code::SoldOut,
            Code::NoAdjacentSeats,
            Code::SeatsCap,
            Code::QueueClosed,
            Code::HoldExpired,
        ]),
    Route::get("/api/tickets/lock", "list_holds", |x| Box::pin(holds::mine(x)))
        .says("One's live holds in an event")
        .who(Who::Login)
        .query(|_, to| describe_object(to, holds::event_query))
        .answers(&[(200, Json(|to| page_of::<holds::HoldShown>("Holds", to)))]),
    Route::new(
        Verb::Delete,
        "/api/tickets/lock/{hold_id}",
        "release_hold",
        Run::Change(|x| Box::pin(holds::release(x))),
    )
    .says("Let a hold go")
    .who(Who::Login)
    .answers(&[(204, Empty)])
    .refuses(&[Code::NotFound, Code::NotHolder, Code::HoldPaying]),
    Route::post("/api/tickets/book", "book", |x| Box::pin(bookings::book(x)))
        .says("Buy what a hold holds; the payment goes on behind the answer")
        .who(Who::Login)
        .takes(&bookings::BOOK)
        .keyed()
        .answers(&[(202, Json(bookings::Accepted::schema))])
        .refuses(&[
            Code::NotFound,
            Code::UserMismatch,
            Code::NotHolder,
            Code::HoldExpired,
            Code::OutcomeUnknown,
        ]),
    Route::get("/api/bookings", "list_bookings", |x| Box::pin(bookings::list(x)))
        .says("One's bookings, newest first")
        .who(Who::Login)
        .query(|_, to| describe_object(to, cursor))
        .answers(&[(200, Json(|to| page_of::<bookings::BookingShown>("Bookings", to)))]),
    Route::get("/api/bookings/{id}", "get_booking", |x| Box::pin(bookings::get(x)))
        .says("A booking, at once or at its next change")
        .who(Who::Login)
        .query(|config, to| describe_object(to, bookings::wait(config.long_poll_seconds_max)))
        .answers(&[(200, Json(bookings::BookingShown::schema))])
        .refuses(&[Code::NotFound]),
    Route::post("/api/bookings/{id}/cancel", "cancel_booking", |x| Box::pin(bookings::cancel(x)))
        .says("Undo a booking: the money and the seats go back")
        .who(Who::Login)
        .takes(&NOTHING)
        .keyed()
        .answers(&[(202, Json(bookings::Accepted::schema))])
        .refuses(&[Code::NotFound, Code::NothingToCancel, Code::TicketUsed, Code::OutcomeUnknown]),
    Route::get("/api/tickets/{id}", "get_ticket", |x| Box::pin(tickets::get(x)))
        .says("A ticket with its signed text")
        .who(Who::Login)
        .answers(&[(200, Json(tickets::TicketShown::schema))])
        .refuses(&[Code::NotFound]),
    Route::get("/api/tickets/{id}.svg", "get_ticket_svg", |x| Box::pin(tickets::svg(x)))
        .says("The signed text as a QR code, as a drawing")
        .who(Who::Login)
        .answers(&[(200, Svg)])
        .refuses(&[Code::NotFound]),
    Route::get("/api/tickets/{id}.png", "get_ticket_png", |x| Box::pin(tickets::png(x)))
        .says("The signed text as a QR code, as a picture")
        .who(Who::Login)
        .answers(&[(200, Png)])
        .refuses(&[Code::NotFound]),
    Route::post("/api/tickets/verify", "verify_ticket", |x| Box::pin(tickets::verify(x)))
        .says("Scan a ticket at the door: the first scan is valid, the next says used")
        .who(Who::Gate)
        .takes(&tickets::VERIFY)
        .keyed()
        .answers(&[(200, Json(tickets::ScanShown::schema))]),
    Route::post("/api/tickets/{id}/unscan", "unscan_ticket", |x| Box::pin(tickets::unscan(x)))
        .says("Take a scan back: the ticket opens the door again, and the trail says who and why")
        .who(Who::Admin)
        .takes(&tickets::UNSCAN)
        .keyed()
        .answers(&[(200, Json(tickets::Unscanned::schema))])
        .refuses(&[Code::NotFound, Code::TicketNotUsed]),
];
