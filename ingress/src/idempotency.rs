//! Idempotency keys: the same key and body have one effect and get its answer again. What had no
//! effect is kept only if it can never change.
use crate::body::Body;
use crate::exchange::{Exchange, Outcome, Received};
use crate::problem::{Code, Problem};
use crate::response::is_passing;
use allocator::Keyed;
use http::header::{CONTENT_TYPE, HeaderName, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use ledger::books::{RequestAnswer, RequestBegun, RequestKey};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const ADMISSION_PASS: HeaderName = HeaderName::from_static("admission-pass");

/// Headers that are part of an answer.
const KEPT: [HeaderName; 3] = [LOCATION, SET_COOKIE, ADMISSION_PASS];

/// The key of a request, with or without quotes.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let refused = |detail| Err(Problem::new(Code::Malformed, detail));
    let mut lines = headers.get_all(HEADER).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return refused("there is more than one Idempotency-Key");
    }
    let text = line.as_bytes();
    let bare = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(text);
    if !(1..=255).contains(&bare.len()) || !bare.iter().all(u8::is_ascii_graphic) {
        return refused("an Idempotency-Key has 1 to 255 visible ASCII characters");
    }
    Ok(Some(bare.iter().map(|byte| char::from(*byte)).collect()))
}

/// The key as the allocator compares it, beside what it made.
pub(crate) fn keyed(headers: &HeaderMap, received: &Received) -> Result<Option<Keyed>, Problem> {
    Ok(key(headers)?.map(|key| Keyed { key, body_hash: received.hash() }))
}

/// Carries out `work` once for every key that `scope` (an account, mostly) uses on this address.
pub(crate) async fn once(
    exchange: &Exchange,
    scope: &str,
    received: &Received,
    work: impl Future<Output = Outcome>,
) -> Outcome {
    let Some(key) = key(exchange.headers())? else { return work.await };
    let route = format!("{} {}", exchange.head.method, exchange.head.uri.path());
    let key = RequestKey { account: scope.to_owned(), route, key };
    let requests = &exchange.app().books.requests;
    let begun_at = exchange.now();
    match requests.begin(&key, received.hash(), begun_at).await? {
        RequestBegun::New => {}
        RequestBegun::Replay(answer) => return Ok(replayed(answer)),
        RequestBegun::Mismatch => return Err(mismatch()),
        RequestBegun::Running => {
            let detail = "the same request is being carried out right now";
            return Err(Problem::new(Code::IdempotencyRunning, detail));
        }
    }
    let outcome = work.await;
    let outcome = match outcome {
        Ok(answer) => Ok(answer),
        Err(problem) if !problem.code().is_final() => Err(problem),
        Err(problem) => Ok(problem.into_response()),
    };
    let kept = match &outcome {
        Ok(answer) if !is_passing(answer) => kept(answer),
        Ok(_) | Err(_) => None,
    };
    let written = match kept {
        Some(kept) => requests.finish(&key, &kept).await,
        None => requests.abandon(&key, begun_at).await,
    };
    if let Err(error) = written {
        // The effect stands and the client gets its answer; the key's lease runs out.
        tracing::warn!(error = crate::problem::chain(&error), "keeping a keyed answer failed");
    }
    outcome
}

pub(crate) fn mismatch() -> Problem {
    let detail = "the Idempotency-Key was used with another request";
    Problem::new(Code::IdempotencyMismatch, detail)
}

fn kept(answer: &Response<Body>) -> Option<RequestAnswer> {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = answer.headers().iter().filter(|(name, _)| KEPT.contains(name));
    let headers = headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
    Some(RequestAnswer {
        status: answer.status().as_u16(),
        content_type: answer.headers().get(CONTENT_TYPE).and_then(text).unwrap_or_default(),
        headers: headers.collect(),
        body: answer.body().whole()?.to_vec(),
    })
}

fn replayed(kept: RequestAnswer) -> Response<Body> {
    let mut answer = Response::new(Body::Whole(kept.body.into()));
    *answer.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let headers = answer.headers_mut();
    if let Ok(content_type) = HeaderValue::try_from(kept.content_type)
        && !content_type.is_empty()
    {
        headers.insert(CONTENT_TYPE, content_type);
    }
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response;

    #[test]
    fn keys_are_visible_ascii_with_or_without_quotes() {
        for (lines, expected) in [
            (vec![], Ok(None)),
            (vec!["abc"], Ok(Some("abc"))),
            (vec!["\"abc\""], Ok(Some("abc"))),
            (vec!["\""], Ok(Some("\""))),
            (vec!["\"\""], Err(())),
            (vec![""], Err(())),
            (vec!["a b"], Err(())),
            (vec!["abc", "abc"], Err(())),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(HEADER, line.parse().unwrap());
            }
            let found = key(&headers).map_err(|_| ());
            assert_eq!(found, expected.map(|key: Option<&str>| key.map(String::from)), "{lines:?}");
        }
        let long = |n: usize| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, "x".repeat(n).parse().unwrap());
            key(&headers).is_ok()
        };
        assert!(long(255) && !long(256));
    }

    #[test]
    fn a_kept_answer_comes_back_the_same() {
        let mut answer = response::json(StatusCode::CREATED, &serde_json::json!({"a": 1}));
        answer.headers_mut().insert(LOCATION, HeaderValue::from_static("/x"));
        answer.headers_mut().append(SET_COOKIE, HeaderValue::from_static("a=1"));
        answer.headers_mut().append(SET_COOKIE, HeaderValue::from_static("b=2"));
        let again = replayed(kept(&answer).unwrap());
        assert_eq!(again.status(), answer.status());
        assert_eq!(again.headers(), answer.headers());
        assert_eq!(again.body().whole(), answer.body().whole());
    }
}
