//! Cookies: what browsers carry instead of the `Queue-Token` and `Admission-Pass` headers.
use http::header::{COOKIE, HeaderName};
use http::{HeaderMap, HeaderValue};
use ledger::QueueId;
use std::fmt::Write;

/// Room for all of a `Set-Cookie` line but its value.
const LINE_BYTES: usize = 192;

/// What a cookie carries. There is one of each for every queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    QueueToken,
    AdmissionPass,
}

impl Kind {
    /// The header of the same meaning.
    pub(crate) const fn header(self) -> HeaderName {
        match self {
            Self::QueueToken => HeaderName::from_static("queue-token"),
            Self::AdmissionPass => HeaderName::from_static("admission-pass"),
        }
    }

    pub(crate) fn cookie(self, queue: &QueueId) -> String {
        let mut name = String::new();
        self.name(queue, &mut name);
        name
    }

    fn name(self, queue: &QueueId, to: &mut String) {
        to.push_str(match self {
            Self::QueueToken => "tidegate_token_",
            Self::AdmissionPass => "tidegate_pass_",
        });
        // The one character of an id that a cookie's name may not have.
        to.extend(queue.as_str().chars().map(|c| if c == ':' { '!' } else { c }));
    }

    /// The `Set-Cookie` lines. Scripts never see them, and other sites' forms do not send them.
    /// Each is sent back only to where it is read, so that many queues do not fill every head.
    pub(crate) fn set(
        self,
        queue: &QueueId,
        value: &str,
        seconds: i64,
        secure: bool,
    ) -> impl Iterator<Item = HeaderValue> {
        let of_queue = Some(format!("/api/queue/{queue}"));
        // Locking seats names an event, not its queue.
        let of_lock = (self == Self::AdmissionPass).then(|| "/api/tickets/lock".to_owned());
        let paths = of_queue.into_iter().chain(of_lock);
        paths.filter_map(move |path| self.line(queue, value, &path, seconds, secure))
    }

    /// The lines that end a cookie.
    pub(crate) fn end(self, queue: &QueueId, secure: bool) -> impl Iterator<Item = HeaderValue> {
        self.set(queue, "", 0, secure)
    }

    fn line(
        self,
        queue: &QueueId,
        value: &str,
        path: &str,
        seconds: i64,
        secure: bool,
    ) -> Option<HeaderValue> {
        let mut line = String::with_capacity(LINE_BYTES + value.len());
        self.name(queue, &mut line);
        let secure = if secure { "; Secure" } else { "" };
        let rest = "HttpOnly; SameSite=Lax";
        write!(line, "={value}; Path={path}; Max-Age={seconds}; {rest}{secure}").ok()?;
        HeaderValue::try_from(line).ok()
    }
}

/// The value of the cookie `name`.
pub(crate) fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let queue = QueueId::parse("a:b").unwrap();
        let name = Kind::QueueToken.cookie(&queue);
        assert_eq!(name, "tidegate_token_a!b");
        for (line, expected) in [
            ("tidegate_token_a!b=x.y", Some("x.y")),
            ("a=1; tidegate_token_a!b=x=y; c=2", Some("x=y")),
            ("xtidegate_token_a!b=x", None),
            ("tidegate_token_a!bc=x", None),
            ("tidegate_token_a!b", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, line.parse().unwrap());
            assert_eq!(find(&headers, &name), expected, "{line}");
        }
    }

    #[test]
    fn cookies_are_kept_from_scripts_and_other_sites() {
        let queue = QueueId::parse("q").unwrap();
        let lines = |kind: Kind, value, secure| -> Vec<String> {
            let lines = kind.set(&queue, value, 60, secure);
            lines.map(|line| line.to_str().unwrap().to_owned()).collect()
        };
        let pass = lines(Kind::AdmissionPass, "v", true);
        for (line, path) in pass.iter().zip(["Path=/api/queue/q", "Path=/api/tickets/lock"]) {
            for part in
                ["tidegate_pass_q=v", path, "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=60"]
            {
                assert!(line.split("; ").any(|found| found == part), "{part} in {line}");
            }
        }
        assert_eq!((pass.len(), lines(Kind::QueueToken, "v", true).len()), (2, 1));
        assert!(!lines(Kind::QueueToken, "v", false)[0].contains("Secure"));
        assert!(lines(Kind::AdmissionPass, "a\r\nb", false).is_empty());
        let ended: Vec<_> = Kind::QueueToken.end(&queue, false).collect();
        assert!(ended[0].to_str().unwrap().contains("tidegate_token_q=; "), "{ended:?}");
        assert!(ended[0].to_str().unwrap().contains("Max-Age=0"), "{ended:?}");
    }
}
