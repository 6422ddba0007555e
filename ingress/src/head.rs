//! The verdict on the head of a request: how its body is framed, or why the head is refused.
//!
//! Two servers in a row must agree where a request ends. So what leaves room for two readings is
//! refused, also where HTTP/1.1 or hyper would let it pass: a bare line feed, a length that is
//! said twice, a length beside a transfer coding, and any coding but `chunked` alone.
use http::Uri;
use std::io::BufRead;
use std::mem::MaybeUninit;

/// The most header fields that a configuration can allow.
pub(crate) const FIELDS_MAX: usize = 1_000;

/// How the body behind a head is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; 0 for none.
    Length(u64),
    Chunked,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("a line of the head ends in a bare line feed")]
    BareLineFeed,
    #[error("the head is not HTTP/1.1")]
    Malformed,
    #[error("the head says the body's length more than once")]
    LengthTwice,
    #[error("the Content-Length is not a number")]
    Length,
    #[error("the only Transfer-Encoding that is taken is chunked")]
    TransferCoding,
    #[error("the head is too long")]
    TooLong,
    #[error("the head has too many fields")]
    TooManyFields,
    #[error("the head did not come in time")]
    Slow,
}

/// How long the head is that begins here; `None` while its end has not come. `searched` is how
/// much of it was looked at before.
pub(crate) fn end(bytes: &[u8], searched: &mut usize) -> Result<Option<usize>, BadHead> {
    while let Some(mut rest) = bytes.get(*searched..).filter(|rest| !rest.is_empty()) {
        let taken = rest.skip_until(b'\n').unwrap_or(0);
        let line_end = *searched + taken;
        let line = &bytes[..line_end];
        if !line.ends_with(b"\n") {
            // The next look begins at the line feed that is still to come.
            *searched = line_end;
            return Ok(None);
        }
        if !line.ends_with(b"\r\n") {
            return Err(BadHead::BareLineFeed);
        }
        *searched = line_end;
        // Empty lines before a head are not its end.
        if line.ends_with(b"\r\n\r\n") && line.iter().any(|b| !matches!(b, b'\r' | b'\n')) {
            return Ok(Some(line_end));
        }
    }
    Ok(None)
}

/// Reads a whole head.
pub(crate) fn judge(head: &[u8], fields_max: usize) -> Result<Framing, BadHead> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let fields = &mut fields[..fields_max.min(FIELDS_MAX)];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(head, fields).map_err(|error| match error {
        httparse::Error::TooManyHeaders => BadHead::TooManyFields,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => BadHead::Malformed,
    })?;
    let path = request.path.unwrap_or_default();
    if parsed.is_partial() || (!is_plain(path) && Uri::try_from(path).is_err()) {
        return Err(BadHead::Malformed);
    }
    let (mut length, mut chunked) = (None, false);
    for field in request.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        let says_length = is("content-length");
        if !says_length && !is("transfer-encoding") {
            continue;
        }
        if length.is_some() || chunked {
            return Err(BadHead::LengthTwice);
        }
        if says_length {
            length = Some(number(field.value).ok_or(BadHead::Length)?);
        } else {
            let is_chunked = field.value.eq_ignore_ascii_case(b"chunked");
            // A client of HTTP/1.0 does not know the coding.
            if !is_chunked || request.version != Some(1) {
                return Err(BadHead::TransferCoding);
            }
            chunked = true;
        }
    }
    Ok(if chunked { Framing::Chunked } else { Framing::Length(length.unwrap_or(0)) })
}

/// The value of a field, wherever it is in what came of a head.
pub(crate) fn field<'h>(head: &'h [u8], name: &str) -> Option<&'h str> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let mut texts = lines.filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'));
    let (_, value) = texts.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.trim()).filter(|value| value.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// Whether a target has only characters that need no second look.
fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_.?=&%:~,+-!".contains(&b))
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &str, expected: Result<Framing, BadHead>) {
        let head = format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(end(head.as_bytes(), &mut 0), Ok(Some(head.len())), "{fields:?}");
        assert_eq!(judge(head.as_bytes(), 4), expected, "{fields:?}");
    }

    #[test]
    fn a_body_is_framed_in_one_way_only() {
        check("", Ok(Framing::Length(0)));
        check("Content-Length: 12\r\n", Ok(Framing::Length(12)));
        check("transfer-encoding: Chunked\r\n", Ok(Framing::Chunked));
        check("X-Content-Length: 1\r\nContent-Length: 1\r\n", Ok(Framing::Length(1)));
        for value in ["", "+1", "-1", "1, 1", "0x1", "1 1", "9999999999999999999"] {
            check(&format!("Content-Length: {value}\r\n"), Err(BadHead::Length));
        }
        for value in ["gzip", "gzip, chunked", "chunked, chunked", "chunked;q=1", "identity", ""] {
            check(&format!("Transfer-Encoding: {value}\r\n"), Err(BadHead::TransferCoding));
        }
        let twice = Err(BadHead::LengthTwice);
        check("Content-Length: 1\r\ncontent-length: 1\r\n", twice);
        check("Content-Length: 1\r\nTRANSFER-ENCODING: chunked\r\n", twice);
        check("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", twice);
        check("a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n", Err(BadHead::TooManyFields));
        check("a : 1\r\n", Err(BadHead::Malformed));
        check("a: 1\r\n b\r\n", Err(BadHead::Malformed));
        let old = b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(judge(old, 4), Err(BadHead::TransferCoding));
        for line in ["GET /a b HTTP/1.1", "GET / HTTP/9.9", "PRI * HTTP/2.0", "GET a/b HTTP/1.1"] {
            let head = format!("{line}\r\n\r\n");
            assert_eq!(judge(head.as_bytes(), 4), Err(BadHead::Malformed), "{line}");
        }
    }

    #[test]
    fn an_end_is_found_whatever_the_pieces() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(27)),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Ok(22)),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Err(BadHead::BareLineFeed)),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", Err(BadHead::BareLineFeed)),
            ("\nGET / HTTP/1.1\r\n\r\n", Err(BadHead::BareLineFeed)),
        ] {
            let mut searched = 0;
            let mut found = Ok(None);
            for length in 1..=head.len() {
                found = end(&head.as_bytes()[..length], &mut searched);
                if found != Ok(None) {
                    break;
                }
            }
            assert_eq!(found, expected.map(Some), "{head:?}");
            assert_eq!(end(head.as_bytes(), &mut 0), found, "{head:?}");
        }
    }
}
