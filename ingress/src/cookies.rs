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

    /// A `Set-Cookie` line. Scripts never see it, and other sites' forms do not send it.
    pub(crate) fn set(
        self,
        queue: &QueueId,
        value: &str,
        seconds: i64,
        secure: bool,
    ) -> Option<HeaderValue> {
        let mut line = String::with_capacity(LINE_BYTES + value.len());
        self.name(queue, &mut line);
        let secure = if secure { "; Secure" } else { "" };
        let rest = "Path=/; HttpOnly; SameSite=Lax";
        write!(line, "={value}; Max-Age={seconds}; {rest}{secure}").ok()?;
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
        let line = Kind::AdmissionPass.set(&queue, "v", 60, true).unwrap();
        let line = line.to_str().unwrap();
        for part in ["tidegate_pass_q=v", "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=60"] {
            assert!(line.split("; ").any(|found| found == part), "{part} in {line}");
        }
        let plain = Kind::AdmissionPass.set(&queue, "v", 60, false).unwrap();
        assert!(!plain.to_str().unwrap().contains("Secure"));
        assert_eq!(Kind::AdmissionPass.set(&queue, "a\r\nb", 60, false), None);
    }
}
