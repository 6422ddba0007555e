//! The id that ties a client's question to our log.
use http::{HeaderMap, HeaderName, HeaderValue};
use ledger::{IdSource, is_id};

pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The client's own id, if it is sound: it is copied into the log and the answer.
pub(crate) fn shown(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(HEADER)?;
    value.to_str().is_ok_and(is_id).then(|| value.clone())
}

pub(crate) fn mint(ids: &IdSource) -> Option<HeaderValue> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let random = ids.random();
    let text: [u8; 16] = std::array::from_fn(|n| DIGITS[(random >> (4 * n)) as usize & 0xf]);
    HeaderValue::from_bytes(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_ids_are_taken_over() {
        for (sent, taken) in
            [("abc-123", true), ("a b", false), ("a\tb", false), ("", false), ("a\"b", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, sent.parse().unwrap());
            assert_eq!(shown(&headers).is_some(), taken, "{sent:?}");
        }
        assert!(shown(&HeaderMap::new()).is_none());
        assert_eq!(mint(&IdSource::seeded(1)).unwrap().len(), 16);
    }
}
