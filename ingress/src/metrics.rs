//! What the HTTP side measures.
use http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use std::time::Duration;

pub const REQUESTS: &str = "tidegate_ingress_requests_total";
pub const REQUEST_SECONDS: &str = "tidegate_ingress_request_seconds";
pub const PANICS: &str = "tidegate_ingress_panics_total";
pub const CONNECTIONS: &str = "tidegate_ingress_connections";
pub const CONNECTIONS_ACCEPTED: &str = "tidegate_ingress_connections_accepted_total";
pub const CONNECTIONS_REFUSED: &str = "tidegate_ingress_connections_refused_total";
pub const CUTS: &str = "tidegate_ingress_cuts_total";
pub const LIMITED: &str = "tidegate_ingress_limited_total";
pub const LIMIT_KEYS: &str = "tidegate_ingress_limit_keys";
pub const PASSWORD_QUEUE: &str = "tidegate_ingress_password_queue_length";
pub const PASSWORD_WAIT_SECONDS: &str = "tidegate_ingress_password_wait_seconds";
pub const PASSWORDS_REFUSED: &str = "tidegate_ingress_passwords_refused_total";
pub const STREAMS: &str = "tidegate_ingress_streams";
pub const STREAMS_REFUSED: &str = "tidegate_ingress_streams_refused_total";
pub const LONG_POLLS: &str = "tidegate_ingress_long_polls";

/// Says what each metric means.
pub fn describe() {
    describe_counter!(REQUESTS, "Requests answered, by route and class of status");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "From head to answer, by route");
    describe_counter!(PANICS, "Requests whose handler panicked");
    describe_gauge!(CONNECTIONS, "Open connections");
    describe_counter!(CONNECTIONS_ACCEPTED, "Connections accepted");
    describe_counter!(CONNECTIONS_REFUSED, "Connections refused because too many were open");
    describe_counter!(CUTS, "Connections cut because of what the client did, by reason");
    describe_counter!(LIMITED, "Requests refused by a limit");
    describe_gauge!(LIMIT_KEYS, "Addresses and accounts that the limits remember");
    describe_gauge!(PASSWORD_QUEUE, "Logins and registrations waiting for a password thread");
    describe_histogram!(PASSWORD_WAIT_SECONDS, Unit::Seconds, "How long they waited");
    describe_counter!(PASSWORDS_REFUSED, "Logins and registrations refused: too many waited");
    describe_gauge!(STREAMS, "Open server-sent event streams");
    describe_counter!(STREAMS_REFUSED, "Streams refused because too many were open");
    describe_gauge!(LONG_POLLS, "Requests waiting for a booking");
}

/// Why a connection was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The head did not come in time.
    SlowHead,
    /// The client did not take its answer in time.
    SlowRead,
    /// The body was too slow.
    SlowBody,
    /// The head was refused: too long, not HTTP/1.1, or with two readings.
    Suspicious,
    /// The drain took too long.
    Drain,
}

impl Cut {
    fn label(self) -> &'static str {
        match self {
            Self::SlowHead => "slow_head",
            Self::SlowRead => "slow_read",
            Self::SlowBody => "slow_body",
            Self::Suspicious => "suspicious",
            Self::Drain => "drain",
        }
    }
}

pub(crate) fn cut(reason: Cut) {
    counter!(CUTS, "reason" => reason.label()).increment(1);
}

/// What a request was refused by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    All,
    Address,
    Account,
    Login,
    Register,
}

impl Limit {
    fn label(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
            Self::Account => "account",
            Self::Login => "login",
            Self::Register => "register",
        }
    }

    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::All => "too many requests altogether",
            Self::Address => "too many requests from this address",
            Self::Account => "too many requests of this account",
            Self::Login => "too many logins from this address",
            Self::Register => "too many registrations from this address",
        }
    }
}

pub(crate) fn refused(limit: Limit) {
    counter!(LIMITED, "limit" => limit.label()).increment(1);
}

pub(crate) fn limit_keys(count: usize) {
    gauge!(LIMIT_KEYS).set(count as f64);
}

pub(crate) fn passwords_waiting(count: usize) {
    gauge!(PASSWORD_QUEUE).set(count as f64);
}

pub(crate) fn password_waited(time: Duration) {
    histogram!(PASSWORD_WAIT_SECONDS).record(time);
}

pub(crate) fn password_refused() {
    counter!(PASSWORDS_REFUSED).increment(1);
}

pub(crate) fn panicked() {
    counter!(PANICS).increment(1);
}

pub(crate) fn stream_refused() {
    counter!(STREAMS_REFUSED).increment(1);
}

pub(crate) fn connection_refused() {
    counter!(CONNECTIONS_REFUSED).increment(1);
}

pub(crate) fn connection_accepted() {
    counter!(CONNECTIONS_ACCEPTED).increment(1);
}

/// Counts itself in a gauge for as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn connection() -> Self {
        Self::into(gauge!(CONNECTIONS))
    }

    pub(crate) fn stream() -> Self {
        Self::into(gauge!(STREAMS))
    }

    pub(crate) fn long_poll() -> Self {
        Self::into(gauge!(LONG_POLLS))
    }

    fn into(gauge: Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// The metrics of one route, looked up once.
pub(crate) struct RouteMetrics {
    classes: [Counter; 5],
    seconds: Histogram,
}

impl RouteMetrics {
    /// `route` is a template, never a path.
    pub(crate) fn new(route: &'static str) -> Self {
        let class = |status| counter!(REQUESTS, "route" => route, "status" => status);
        Self {
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: histogram!(REQUEST_SECONDS, "route" => route),
        }
    }

    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.classes.get(class) {
            counter.increment(1);
        }
        self.seconds.record(took);
    }
}
