//! Answers: their headers and the few shapes that all of them have.
use crate::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use ledger::Page;
use serde::Serialize;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// For answers that anyone may share for a moment.
pub(crate) const PUBLIC_SECOND: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// For answers that change with a release or a key rotation.
pub(crate) const PUBLIC_MINUTE: HeaderValue = HeaderValue::from_static("public, max-age=60");
/// For answers whose address names their version.
pub(crate) const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");

/// Most answers are no longer and grow no buffer while they are written.
const JSON_BYTES: usize = 512;

/// Marks an answer that had no effect and may be another one the next time: it is not kept for a
/// request that is repeated under its key.
#[derive(Clone)]
struct Passing;

pub(crate) fn passing(mut answer: Response<Body>) -> Response<Body> {
    answer.extensions_mut().insert(Passing);
    answer
}

pub(crate) fn is_passing(answer: &Response<Body>) -> bool {
    answer.extensions().get::<Passing>().is_some()
}

/// A list in pages.
#[derive(Serialize)]
pub(crate) struct Listed<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> From<Page<T>> for Listed<T> {
    fn from(page: Page<T>) -> Self {
        Self { items: page.items, next_cursor: page.next }
    }
}

pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let mut body = Vec::with_capacity(JSON_BYTES);
    serde_json::to_writer(&mut body, value).expect("answers have string keys and finite numbers");
    whole(status, JSON, body)
}

pub(crate) fn whole(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut answer = Response::new(Body::Whole(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

/// A public resource with its tag: 304 where the client has it already.
pub(crate) fn tagged(
    request: &HeaderMap,
    etag: Bytes,
    cache: HeaderValue,
    body: impl FnOnce() -> Bytes,
) -> Response<Body> {
    let mut answer = if has(request, &etag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        whole(StatusCode::OK, JSON, body())
    };
    let headers = answer.headers_mut();
    if let Ok(etag) = HeaderValue::from_maybe_shared(etag) {
        headers.insert(ETAG, etag);
    }
    headers.insert(CACHE_CONTROL, cache);
    answer
}

/// Whether `If-None-Match` names this tag (weak comparison, RFC 9110 section 13.1.2).
fn has(request: &HeaderMap, etag: &[u8]) -> bool {
    let lines = request.get_all(IF_NONE_MATCH).iter();
    let mut tags = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    tags.any(|tag| tag.trim_ascii() == b"*" || bare(tag.trim_ascii()) == bare(etag))
}

fn bare(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_needs_no_body() {
        for (sent, status) in [
            (None, 200),
            (Some("\"a\""), 304),
            (Some("W/\"a\""), 304),
            (Some("\"b\", \"a\""), 304),
            (Some("*"), 304),
            (Some("\"b\""), 200),
            (Some("a"), 200),
        ] {
            let mut request = HeaderMap::new();
            if let Some(sent) = sent {
                request.insert(IF_NONE_MATCH, HeaderValue::from_static(sent));
            }
            let answer =
                tagged(&request, "\"a\"".into(), PUBLIC_SECOND, || Bytes::from_static(b"{}"));
            assert_eq!(answer.status(), status, "{sent:?}");
            assert_eq!(answer.headers()["etag"], "\"a\"");
        }
    }
}
