//! One request on its way through a handler, and what handlers ask of it.
use crate::app::App;
use crate::body::Body;
use crate::cookies;
use crate::fields::{Fields, Unknown, Wrong, read_object};
use crate::json::{self, Malformed};
use crate::login::{self, Authorization, Login};
use crate::problem::{Code, Problem};
use crate::query::{self, BadQuery};
use crate::receive;
use crate::rules::{Form, digits, text};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, Request, Response, request};
use hyper::body::Incoming;
use ledger::{Cursor, LIMIT_DEFAULT, LIMIT_MAX, QueueId, Role, Timestamp};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What a handler ends in.
pub(crate) type Outcome = Result<Response<Body>, Problem>;

pub(crate) struct Exchange {
    pub app: Arc<App>,
    /// Who it comes from, behind any trusted proxies.
    pub client: IpAddr,
    pub head: request::Parts,
    body: Option<Incoming>,
    /// Where in the path the route's parameter is.
    param: Range<usize>,
}

/// A body that was received whole.
pub(crate) struct Received {
    pub bytes: Bytes,
    depth_max: u8,
}

/// A body of a request that has nothing to say.
pub(crate) static NOTHING: Form<()> = Form {
    name: "Nothing",
    says: "An empty object; it may be left out.",
    example: "{}",
    fields: |_| Some(()),
};

/// The most characters of a cursor; ours are ids.
const CURSOR_MAX: usize = 200;

impl Exchange {
    pub(crate) fn new(
        app: &Arc<App>,
        client: IpAddr,
        request: Request<Incoming>,
        param: Range<usize>,
    ) -> Self {
        let (head, body) = request.into_parts();
        Self { app: app.clone(), client, head, body: Some(body), param }
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.app().clock.now()
    }

    /// The route's parameter as an id; what is no id names nothing.
    pub(crate) fn id<T, E>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, Problem> {
        let raw = self.head.uri.path().get(self.param.clone()).unwrap_or_default();
        parse_id(raw, parse)
    }

    pub(crate) fn queue(&self) -> Result<QueueId, Problem> {
        let queue = self.id(QueueId::parse)?;
        trace(field::QUEUE, &queue);
        Ok(queue)
    }

    /// Who is logged in, within the account's limit.
    pub(crate) fn login(&self) -> Result<Login, Problem> {
        let login = self.maybe_login()?;
        login.ok_or_else(|| Problem::new(Code::Unauthenticated, "a login token is required"))
    }

    /// The same where a login is not needed; one that is shown must be good all the same.
    pub(crate) fn maybe_login(&self) -> Result<Option<Login>, Problem> {
        let token = match login::authorization(self.headers()) {
            Authorization::Nothing => return Ok(None),
            Authorization::Bearer(token) => token,
            Authorization::Other => "",
        };
        let login = login::read_login(&self.app().keys, token, self.now()).ok_or_else(|| {
            Problem::new(Code::Unauthenticated, "the login token is not valid any more")
        })?;
        self.app().limits.account(&login.account)?;
        Ok(Some(login))
    }

    /// Who is logged in, if that is somebody with this role now: a login outlives a change of
    /// role, so the books are asked.
    pub(crate) async fn login_as(&self, role: Role) -> Result<Login, Problem> {
        let login = self.login()?;
        let account = self.app().books.accounts.by_id(&login.account).await?;
        if account.is_some_and(|account| account.role == role) {
            return Ok(Login { role, ..login });
        }
        let detail = format!("only for accounts with the role {}", role.as_str());
        Err(Problem::new(Code::Forbidden, detail))
    }

    /// The queue token or pass of `queue`, from its header or its cookie.
    pub(crate) fn credential(
        &self,
        kind: cookies::Kind,
        queue: &QueueId,
    ) -> Option<Credential<'_>> {
        if let Some(value) = self.headers().get(kind.header()) {
            return Some(Credential { text: value.to_str().unwrap_or_default(), by_cookie: false });
        }
        if !self.headers().contains_key(COOKIE) {
            return None;
        }
        let text = cookies::find(self.headers(), &kind.cookie(queue))?;
        Some(Credential { text, by_cookie: true })
    }

    /// Reads the body, which must be JSON if there is any.
    pub(crate) async fn receive(&mut self) -> Result<Received, Problem> {
        let config = &self.app.config;
        let depth_max = config.json_depth_max;
        let timeout = Duration::from_millis(config.body_read_timeout_ms);
        let bytes = match self.body.take() {
            Some(body) => receive::body(body, config.body_bytes_max, timeout).await?,
            None => Bytes::new(),
        };
        if !bytes.is_empty() && !is_json(self.headers()) {
            let detail = "the content type must be application/json";
            return Err(Problem::new(Code::MediaType, detail));
        }
        Ok(Received { bytes, depth_max })
    }

    /// Reads the query string by `fields`. Parameters of others, such as those that campaigns add
    /// to a link, are ignored.
    pub(crate) fn query<T>(
        &self,
        fields: impl Fn(&mut Fields<'_>) -> Option<T>,
    ) -> Result<T, Problem> {
        let query = self.head.uri.query().unwrap_or_default();
        let parameters = query::read(query).map_err(|error| match error {
            BadQuery::Twice(_) | BadQuery::NotEncoded => {
                Problem::new(Code::Malformed, error.to_string())
            }
        })?;
        let read = read_object(parameters, Unknown::Ignored, fields);
        read.map_err(|Wrong(errors)| Problem::validation(errors))
    }
}

/// A signed text that a client carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credential<'h> {
    pub text: &'h str,
    pub by_cookie: bool,
}

impl Received {
    /// Reads the body by `form`. No body counts as `{}`.
    pub(crate) fn read<T>(&self, form: &Form<T>) -> Result<T, Problem> {
        let bytes = if self.bytes.is_empty() { b"{}" } else { self.bytes.as_ref() };
        let json = json::read(bytes, self.depth_max).map_err(|error| match error {
            Malformed::Twice(_) | Malformed::TooDeep(_) | Malformed::NotJson { .. } => {
                Problem::new(Code::Malformed, error.to_string())
            }
        })?;
        form.read(json).map_err(Problem::validation)
    }

    /// A body that says nothing.
    pub(crate) fn read_nothing(&self) -> Result<(), Problem> {
        if self.bytes.as_ref() == b"{}" { Ok(()) } else { self.read(&NOTHING) }
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.bytes);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        hash
    }
}

/// The ids that the span of a request may carry, by the names that every log line uses.
pub(crate) mod field {
    pub(crate) const EVENT: &str = "event.id";
    pub(crate) const QUEUE: &str = "queue.id";
    pub(crate) const HOLD: &str = "hold.id";
    pub(crate) const BOOKING: &str = "booking.id";
}

/// Adds an id to the span of the request that is being handled.
pub(crate) fn trace(name: &'static str, id: &dyn std::fmt::Display) {
    tracing::Span::current().record(name, tracing::field::display(id));
}

/// `limit` and `cursor`, as every list takes them.
pub(crate) fn cursor(fields: &mut Fields<'_>) -> Option<Cursor> {
    let limit =
        fields.optional("limit", digits(1..=LIMIT_MAX), "The most items that the page has.");
    let after = fields.optional(
        "cursor",
        text(1..=CURSOR_MAX),
        "The `next_cursor` of the page before; left out for the first page.",
    );
    Some(Cursor { after, limit: limit.unwrap_or(LIMIT_DEFAULT) })
}

/// A path segment as an id.
pub(crate) fn parse_id<T, E>(
    raw: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Problem> {
    let parsed = if raw.contains('%') {
        query::decoded(raw, false).and_then(|text| parse(&text).ok())
    } else {
        parse(raw).ok()
    };
    parsed.ok_or_else(|| Problem::not_found("there is nothing with this id"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let (media, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset = parameters.trim();
    media.trim().eq_ignore_ascii_case("application/json")
        && (charset.is_empty()
            || charset.eq_ignore_ascii_case("charset=utf-8")
            || charset.eq_ignore_ascii_case("charset=\"utf-8\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::EventId;

    #[test]
    fn only_json_is_json() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/json; charset=latin1", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(is_json(&headers), expected, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn path_ids_may_be_encoded_and_nothing_else_fits() {
        let id = |raw| parse_id(raw, EventId::parse).ok().map(|id| id.to_string());
        assert_eq!(id("evt_1"), Some("evt_1".into()));
        assert_eq!(id("a%3Ab"), Some("a:b".into()));
        for bad in ["", "a%2Fb", "%", "a+b", "a%00", "%ff"] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
