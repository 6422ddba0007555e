//! The bounds of the HTTP side.
use crate::head::FIELDS_MAX;
use crate::network::Network;
use serde::{Deserialize, Serialize};

/// Every bound of the HTTP side. Defaults live in `tidegate.default.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Requests a second from one client address (an IPv6 /64 counts as one); 0 for no limit.
    pub limit_address_per_second: u32,
    /// How many requests one address may make at once before its rate counts.
    pub limit_address_burst: u32,
    /// Requests a second of one account; 0 for no limit.
    pub limit_account_per_second: u32,
    /// How many requests one account may make at once before its rate counts.
    pub limit_account_burst: u32,
    /// Requests a second of everyone together on this node; more are refused with 503.
    /// 0 for no limit.
    pub limit_all_per_second: u32,
    /// Logins a minute from one address; 0 for no limit.
    pub limit_login_per_minute: u32,
    /// Registrations a minute from one address; 0 for no limit.
    pub limit_register_per_minute: u32,
    /// How often the limits forget the addresses and accounts that have been quiet, in
    /// milliseconds.
    pub limits_sweep_interval_ms: u64,
    /// Peers whose `X-Forwarded-For` counts: addresses or networks ("10.0.0.0/8").
    pub trusted_proxies: Vec<Network>,

    /// Open connections; more are answered 503 and closed.
    pub connections_max: usize,
    /// The buffer a connection reads into, in bytes: the most that a request's head may have.
    pub connection_buffer_bytes: usize,
    /// Header fields of one request.
    pub headers_max: usize,
    /// How long a client may take to send a request's head, in milliseconds, at most 30000.
    pub header_read_timeout_ms: u64,
    /// How long a connection may be idle between requests, in milliseconds; it is closed within
    /// twice that.
    pub keep_alive_timeout_ms: u64,
    /// How long a client may take to send a whole body, in milliseconds.
    pub body_read_timeout_ms: u64,
    /// How long a client may go without taking any of its answer, in milliseconds.
    pub write_timeout_ms: u64,
    /// How long a client is listened to after an answer that left its body unread, in milliseconds.
    pub linger_ms: u64,
    /// How long a connection too many may take to read that it is one, in milliseconds.
    pub refusal_timeout_ms: u64,
    /// How long a drain waits for requests in hand, in milliseconds.
    pub drain_timeout_ms: u64,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// How deep a JSON body may nest.
    pub json_depth_max: u8,

    /// Server-sent event streams open at once; more are refused with 503.
    pub streams_max: usize,
    /// How often a quiet stream says that it lives, in milliseconds, at most 15000.
    pub stream_heartbeat_ms: u64,
    /// The shortest time between two looks of one stream, in milliseconds.
    pub stream_interval_ms: u64,
    /// How long a browser waits at least before it opens a stream again, in milliseconds; each waits
    /// up to twice that.
    pub stream_retry_ms: u64,
    /// Requests that may wait for a booking at once; more are answered without waiting.
    pub long_polls_max: usize,
    /// The longest wait for a booking, in seconds.
    pub long_poll_seconds_max: u32,
    /// How often a waiting request looks by itself, in milliseconds: changes made through other
    /// nodes show only then.
    pub long_poll_interval_ms: u64,

    /// Passwords hashed at once (each takes 19 MiB).
    pub password_threads: usize,
    /// Logins and registrations that may wait for their turn; more are refused with 503.
    pub password_queue_max: usize,
    /// How long a login lasts, in seconds.
    pub login_seconds: u32,
    /// How long a browser keeps a place in line, in seconds.
    pub queue_cookie_seconds: u32,
    /// Whether cookies are for HTTPS alone. True wherever TLS ends in front of this server.
    pub cookies_secure: bool,
    /// Origins whose pages may call the API ("https://tickets.example").
    pub cors_origins: Vec<String>,
    /// Events kept in memory with their layouts.
    pub events_cached_max: usize,
}

impl Config {
    /// Switches off all seven limits: for tests and benchmarks.
    pub fn switch_off_limits(&mut self) {
        self.limit_address_per_second = 0;
        self.limit_address_burst = 0;
        self.limit_account_per_second = 0;
        self.limit_account_burst = 0;
        self.limit_all_per_second = 0;
        self.limit_login_per_minute = 0;
        self.limit_register_per_minute = 0;
    }

    /// What is wrong with these bounds, if anything: the name and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let bounds = [
            ("header_read_timeout_ms", self.header_read_timeout_ms, 1, 30_000),
            ("keep_alive_timeout_ms", self.keep_alive_timeout_ms, 1, 3_600_000),
            ("body_read_timeout_ms", self.body_read_timeout_ms, 1, 300_000),
            ("write_timeout_ms", self.write_timeout_ms, 1, 300_000),
            ("linger_ms", self.linger_ms, 0, 60_000),
            ("refusal_timeout_ms", self.refusal_timeout_ms, 1, 60_000),
            ("stream_retry_ms", self.stream_retry_ms, 1, 600_000),
            ("limits_sweep_interval_ms", self.limits_sweep_interval_ms, 1, 3_600_000),
            ("stream_heartbeat_ms", self.stream_heartbeat_ms, 1, 15_000),
            ("stream_interval_ms", self.stream_interval_ms, 1, 15_000),
            ("long_poll_interval_ms", self.long_poll_interval_ms, 1, 30_000),
            ("long_poll_seconds_max", self.long_poll_seconds_max.into(), 0, 30),
            ("login_seconds", self.login_seconds.into(), 1, 31_536_000),
            ("connection_buffer_bytes", self.connection_buffer_bytes as u64, 8_192, 1_048_576),
            ("headers_max", self.headers_max as u64, 16, FIELDS_MAX as u64),
            ("body_bytes_max", self.body_bytes_max as u64, 1_024, 67_108_864),
            ("json_depth_max", self.json_depth_max.into(), 8, 64),
            ("connections_max", self.connections_max as u64, 1, 10_000_000),
            ("password_threads", self.password_threads as u64, 1, 256),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(format!("ingress.{name} must be {least} to {most}"));
            }
        }
        match self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            Some(bad) => Err(format!("ingress.cors_origins: {bad:?} is not scheme://host[:port]")),
            None => Ok(()),
        }
    }
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'*')
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Bounds that no test meets by accident.
    pub(crate) fn roomy() -> Config {
        Config {
            limit_address_per_second: 0,
            limit_address_burst: 0,
            limit_account_per_second: 0,
            limit_account_burst: 0,
            limit_all_per_second: 0,
            limit_login_per_minute: 0,
            limit_register_per_minute: 0,
            limits_sweep_interval_ms: 10_000,
            trusted_proxies: Vec::new(),
            connections_max: 1_000,
            connection_buffer_bytes: 16_384,
            headers_max: 64,
            header_read_timeout_ms: 10_000,
            keep_alive_timeout_ms: 60_000,
            body_read_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            linger_ms: 1_000,
            refusal_timeout_ms: 500,
            drain_timeout_ms: 10_000,
            body_bytes_max: 262_144,
            json_depth_max: 16,
            streams_max: 100,
            stream_heartbeat_ms: 15_000,
            stream_interval_ms: 100,
            stream_retry_ms: 3_000,
            long_polls_max: 100,
            long_poll_seconds_max: 30,
            long_poll_interval_ms: 500,
            password_threads: 2,
            password_queue_max: 64,
            login_seconds: 3_600,
            queue_cookie_seconds: 604_800,
            cookies_secure: false,
            cors_origins: Vec::new(),
            events_cached_max: 100,
        }
    }

    #[test]
    fn bounds_are_checked_by_name() {
        assert_eq!(roomy().check(), Ok(()));
        let slow = Config { header_read_timeout_ms: 30_001, ..roomy() };
        assert!(slow.check().unwrap_err().contains("header_read_timeout_ms"));
        for bad in ["*", "https://", "tickets.example", "https://a/b"] {
            let config = Config { cors_origins: vec![bad.into()], ..roomy() };
            assert!(config.check().is_err(), "{bad}");
        }
    }

    #[test]
    fn switching_off_covers_all_seven_limits() {
        let text = serde_json::to_value(roomy()).unwrap();
        let limits: Vec<_> = text
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| key.starts_with("limit_"))
            .cloned()
            .collect();
        assert_eq!(limits.len(), 7);
        let mut config = roomy();
        config.limit_all_per_second = 5;
        config.limit_account_burst = 5;
        config.switch_off_limits();
        assert_eq!(config, roomy());
    }
}
