//! Which pages of other origins may call, by an explicit list.
use crate::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Response};

const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, Queue-Token, Admission-Pass, If-None-Match, \
     X-Request-Id",
);
const ANSWER_HEADERS: HeaderValue =
    HeaderValue::from_static("Admission-Pass, ETag, Location, Retry-After, X-Request-Id");

/// The request's origin, if its pages may call.
pub(crate) fn allowed(headers: &HeaderMap, origins: &[String]) -> Option<HeaderValue> {
    if origins.is_empty() {
        return None;
    }
    let origin = headers.get(ORIGIN)?;
    origins.iter().any(|known| known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// What a page may ask for, as its browser wants to know beforehand.
pub(crate) fn preflight(headers: &mut HeaderMap, methods: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

pub(crate) fn finish(answer: &mut Response<Body>, origin: Option<HeaderValue>, listed: bool) {
    if !listed {
        return;
    }
    let headers = answer.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_may_call() {
        let origins = ["https://tickets.example".to_owned()];
        for (origin, expected) in [
            (Some("https://tickets.example"), true),
            (Some("https://tickets.example.evil"), false),
            (Some("http://tickets.example"), false),
            (Some("null"), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(allowed(&headers, &origins).is_some(), expected, "{origin:?}");
            assert!(allowed(&headers, &[]).is_none());
        }
    }
}
