//! Problems: the one table that turns what went wrong into HTTP (RFC 9457).
use crate::body::Body;
use crate::fields::FieldError;
use crate::response;
use http::header::{ALLOW, CONNECTION, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use ledger::StoreError;
use ledger::keys::SigningError;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::error::Error as StdError;

/// What went wrong, for machines. Codes never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Code {
    Malformed,
    Unauthenticated,
    Forbidden,
    QueueRequired,
    PassInvalid,
    CrossSite,
    UserMismatch,
    NotHolder,
    NotFound,
    Method,
    Slow,
    SeatTaken,
    SoldOut,
    NoAdjacentSeats,
    SeatsCap,
    QueueClosed,
    UsernameTaken,
    TokenUsed,
    HoldPaying,
    NothingToCancel,
    TicketUsed,
    TicketNotUsed,
    IdempotencyRunning,
    HoldExpired,
    Missed,
    TooLarge,
    MediaType,
    Validation,
    IdempotencyMismatch,
    RateLimited,
    HeadTooLarge,
    Internal,
    Unavailable,
    OutcomeUnknown,
}

/// A row of the table: status, the code's name, a title.
type Row = (u16, &'static str, &'static str);

impl Code {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 34] = [
        Self::Malformed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::QueueRequired,
        Self::PassInvalid,
        Self::CrossSite,
        Self::UserMismatch,
        Self::NotHolder,
        Self::NotFound,
        Self::Method,
        Self::Slow,
        Self::SeatTaken,
        Self::SoldOut,
        Self::NoAdjacentSeats,
        Self::SeatsCap,
        Self::QueueClosed,
        Self::UsernameTaken,
        Self::TokenUsed,
        Self::HoldPaying,
        Self::NothingToCancel,
        Self::TicketUsed,
        Self::TicketNotUsed,
        Self::IdempotencyRunning,
        Self::HoldExpired,
        Self::Missed,
        Self::TooLarge,
        Self::MediaType,
        Self::Validation,
        Self::IdempotencyMismatch,
        Self::RateLimited,
        Self::HeadTooLarge,
        Self::Internal,
        Self::Unavailable,
        Self::OutcomeUnknown,
    ];

    const fn row(self) -> Row {
        match self {
            Self::Malformed => (400, "malformed", "The request cannot be read"),
            Self::Unauthenticated => (401, "unauthenticated", "Log in first"),
            Self::Forbidden => (403, "forbidden", "Not allowed"),
            Self::QueueRequired => (403, "queue_required", "Join the queue first"),
            Self::PassInvalid => (403, "pass_invalid", "The admission pass is not valid here"),
            Self::CrossSite => (403, "cross_site", "Pages of other sites may not do this"),
            Self::UserMismatch => (403, "user_mismatch", "The user is not the one logged in"),
            Self::NotHolder => (403, "not_holder", "The hold is somebody else's"),
            Self::NotFound => (404, "not_found", "There is no such thing"),
            Self::Method => (405, "method", "The method is not allowed here"),
            Self::Slow => (408, "timeout", "The request took too long to arrive"),
            Self::SeatTaken => (409, "seat_taken", "The seat is taken"),
            Self::SoldOut => (409, "sold_out", "No seats that fit are left"),
            Self::NoAdjacentSeats => {
                (409, "no_adjacent_seats", "Not enough seats side by side are left")
            }
            Self::SeatsCap => (409, "seats_cap", "More seats than one account may have"),
            Self::QueueClosed => (409, "queue_closed", "The queue is closed"),
            Self::UsernameTaken => (409, "username_taken", "The username is taken"),
            Self::TokenUsed => (409, "token_used", "The place belongs to another account"),
            Self::HoldPaying => (409, "hold_paying", "The hold is being paid"),
            Self::NothingToCancel => (409, "nothing_to_cancel", "The booking came to nothing"),
            Self::TicketUsed => (409, "ticket_used", "A ticket of the booking was used"),
            Self::TicketNotUsed => (409, "ticket_not_used", "The ticket was not used"),
            Self::IdempotencyRunning => (409, "idempotency_running", "The request is running"),
            Self::HoldExpired => (410, "hold_expired", "The hold is over"),
            Self::Missed => (410, "missed", "The place in line is over"),
            Self::TooLarge => (413, "too_large", "The body is too large"),
            Self::MediaType => (415, "media_type", "The body must be JSON"),
            Self::Validation => (422, "validation", "Some fields are not valid"),
            Self::IdempotencyMismatch => {
                (422, "idempotency_mismatch", "The key was used with another request")
            }
            Self::RateLimited => (429, "rate_limited", "Too many requests"),
            Self::HeadTooLarge => (431, "head_too_large", "The head of the request is too large"),
            Self::Internal => (500, "internal", "Something is broken"),
            Self::Unavailable => (503, "unavailable", "Not available right now"),
            Self::OutcomeUnknown => (503, "outcome_unknown", "The outcome is not known yet"),
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether the same request gets this refusal for ever.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::UsernameTaken
            | Self::TokenUsed
            | Self::NothingToCancel
            | Self::HoldExpired
            | Self::Missed => true,
            Self::Malformed
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::QueueRequired
            | Self::PassInvalid
            | Self::CrossSite
            | Self::UserMismatch
            | Self::NotHolder
            | Self::NotFound
            | Self::Method
            | Self::Slow
            | Self::SeatTaken
            | Self::SoldOut
            | Self::NoAdjacentSeats
            | Self::SeatsCap
            | Self::QueueClosed
            | Self::HoldPaying
            | Self::TicketUsed
            | Self::TicketNotUsed
            | Self::IdempotencyRunning
            | Self::TooLarge
            | Self::MediaType
            | Self::Validation
            | Self::IdempotencyMismatch
            | Self::RateLimited
            | Self::HeadTooLarge
            | Self::Internal
            | Self::Unavailable
            | Self::OutcomeUnknown => false,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.row().1
    }

    pub(crate) fn title(self) -> &'static str {
        self.row().2
    }
}

/// A refusal on its way out.
pub(crate) struct Problem(Box<Inner>);

struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    /// More members of the problem: `join`, `booking_id`, `status_url`.
    members: Map<String, Value>,
    headers: HeaderMap,
    /// For the log, never for the client.
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    pub(crate) fn validation(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(Code::Validation, "some fields are not valid");
        problem.0.errors = errors;
        problem
    }

    /// One field that only a look at the record could refuse.
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError { field: field.into(), message: message.into() }])
    }

    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, what)
    }

    /// Overload: try again after so many seconds.
    pub(crate) fn busy(detail: &'static str) -> Self {
        Self::new(Code::Unavailable, detail)
    }

    fn failed(code: Code, cause: impl StdError + Send + Sync + 'static) -> Self {
        let detail = if code == Code::OutcomeUnknown {
            "it may have happened; look before you ask again"
        } else if code == Code::Unavailable {
            "nothing was changed; try again"
        } else {
            "it was logged"
        };
        let mut problem = Self::new(code, detail);
        problem.0.cause = Some(Box::new(cause));
        problem
    }

    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(member.to_owned(), value.into());
        self
    }

    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    #[must_use]
    pub(crate) fn carrying(mut self, headers: HeaderMap) -> Self {
        self.0.headers.extend(headers);
        self
    }

    #[must_use]
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, seconds.max(1).into())
    }

    #[must_use]
    pub(crate) fn allowing(self, methods: HeaderValue) -> Self {
        self.header(ALLOW, methods)
    }

    /// The connection cannot be used again: what is left of the request would be read as the next.
    #[must_use]
    pub(crate) fn closing(self) -> Self {
        self.header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// One line for a terminal: what is wrong, field by field where there are fields.
    pub(crate) fn line(&self) -> String {
        if self.0.errors.is_empty() {
            return self.0.detail.clone().into_owned();
        }
        let errors = self.0.errors.iter().map(|e| format!("{}: {}", e.field, e.message));
        errors.collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let Inner { code, detail, errors, mut members, headers, cause: _ } = *self.0;
        let (status, name, title) = code.row();
        for (member, value) in [
            ("type", json!(format!("urn:tidegate:problem:{name}"))),
            ("title", json!(title)),
            ("status", json!(status)),
            ("detail", json!(detail)),
            ("code", json!(name)),
            ("error", json!(detail)),
        ] {
            members.insert(member.to_owned(), value);
        }
        if !errors.is_empty() {
            members.insert("errors".to_owned(), json!(errors));
        }
        let mut answer = response::json(code.status(), &members);
        let answer_headers = answer.headers_mut();
        answer_headers.insert(http::header::CONTENT_TYPE, response::PROBLEM_JSON);
        answer_headers.extend(headers);
        if matches!(status, 429 | 503) {
            answer_headers.entry(RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
        } else if status == 401 {
            answer_headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Unavailable { .. } => Code::Unavailable,
            StoreError::Unknown { .. } => Code::OutcomeUnknown,
            StoreError::Broken { .. } => Code::Internal,
        };
        Self::failed(code, error)
    }
}

impl From<SigningError> for Problem {
    fn from(error: SigningError) -> Self {
        Self::failed(Code::Internal, error)
    }
}

impl From<waiting_room::Error> for Problem {
    fn from(error: waiting_room::Error) -> Self {
        use waiting_room::Error;
        match error {
            Error::Store(error) => error.into(),
            Error::Recovering => Self::busy("the queue is being recovered"),
            Error::Overloaded => Self::busy("too many people join at once"),
            Error::Signing(error) => error.into(),
        }
    }
}

impl From<allocator::Error> for Problem {
    fn from(error: allocator::Error) -> Self {
        use allocator::Error;
        match error {
            Error::Store(error) => error.into(),
            Error::Recovering => Self::busy("the seats are being recovered"),
            Error::OutcomeUnknown { booking, source } => {
                let address = format!("/api/bookings/{booking}");
                Self::failed(Code::OutcomeUnknown, source)
                    .with("booking_id", booking.as_str())
                    .with("status_url", address)
            }
            Error::Overflow => Self::failed(Code::Internal, error),
        }
    }
}

/// An error and what caused it, in one line for the log.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(problem: Problem) -> (StatusCode, HeaderMap, Value) {
        let (parts, body) = problem.into_response().into_parts();
        let bytes = body.whole().unwrap();
        (parts.status, parts.headers, serde_json::from_slice(bytes).unwrap())
    }

    #[test]
    fn names_are_unique_and_statuses_fit() {
        for code in Code::ALL {
            let same = Code::ALL.iter().filter(|other| other.name() == code.name());
            assert_eq!(same.count(), 1, "{}", code.name());
            assert!(code.status().as_u16() >= 400);
        }
    }

    #[test]
    fn a_problem_has_the_members_of_the_contract() {
        let (status, headers, body) = body(Problem::new(Code::SeatTaken, "Seat already locked!"));
        assert_eq!(status, 409);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(body["code"], "seat_taken");
        assert_eq!(body["status"], 409);
        assert_eq!(body["error"], "Seat already locked!");
        assert_eq!(body["detail"], "Seat already locked!");
        assert!(body["title"].is_string() && body["type"].is_string());
        assert!(body.get("errors").is_none());
    }

    #[test]
    fn refusals_that_pass_say_when_to_come_back() {
        for (code, expected) in [
            (Code::RateLimited, true),
            (Code::Unavailable, true),
            (Code::OutcomeUnknown, true),
            (Code::SeatTaken, false),
            (Code::Internal, false),
        ] {
            let (_, headers, _) = body(Problem::new(code, "x"));
            assert_eq!(headers.contains_key("retry-after"), expected, "{}", code.name());
        }
        let (_, headers, _) = body(Problem::new(Code::RateLimited, "x").retry_after(7));
        assert_eq!(headers["retry-after"], "7");
    }

    #[test]
    fn causes_stay_inside() {
        let secret = StoreError::unavailable("reading", "postgres://user:secret@db");
        let problem = Problem::from(secret);
        assert_eq!(problem.code(), Code::Unavailable);
        assert!(chain(problem.cause().unwrap()).contains("secret"));
        let (_, _, body) = body(problem);
        assert!(!body.to_string().contains("secret"));
    }
}
