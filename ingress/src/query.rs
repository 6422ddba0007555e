//! Query strings: their parameters, each at most once.
use crate::json::{Json, snake_case};

/// Why a query string cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadQuery {
    #[error("the parameter {0:?} is there twice")]
    Twice(String),
    #[error("the query string is not percent-encoded UTF-8")]
    NotEncoded,
}

/// No route takes nearly as many; what follows is not looked at.
const PARAMETERS_MAX: usize = 64;

/// The parameters as an object of texts.
pub(crate) fn read(query: &str) -> Result<Json, BadQuery> {
    let mut fields: Vec<(String, Json)> = Vec::new();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    for pair in pairs.take(PARAMETERS_MAX) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let sent = decoded(name, true).ok_or(BadQuery::NotEncoded)?;
        let value = decoded(value, true).ok_or(BadQuery::NotEncoded)?;
        let name = snake_case(&sent);
        if fields.iter().any(|(other, _)| *other == name) {
            return Err(BadQuery::Twice(sent));
        }
        fields.push((name, Json::Text(value)));
    }
    Ok(Json::Object(fields))
}

/// Undoes percent-encoding, and `+` for a space where that is the custom.
pub(crate) fn decoded(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_read_strictly() {
        let object = |pairs: &[(&str, &str)]| {
            let own = |(name, value): &(&str, &str)| {
                ((*name).to_owned(), Json::Text((*value).to_owned()))
            };
            Ok(Json::Object(pairs.iter().map(own).collect()))
        };
        for (query, expected) in [
            ("", object(&[])),
            ("wait=20", object(&[("wait", "20")])),
            ("eventId=a%3Ab&limit=", object(&[("event_id", "a:b"), ("limit", "")])),
            ("a=b+c", object(&[("a", "b c")])),
            ("a=1&a=2", Err(BadQuery::Twice("a".into()))),
            ("event_id=1&eventId=2", Err(BadQuery::Twice("eventId".into()))),
            ("a=%", Err(BadQuery::NotEncoded)),
            ("a=%zz", Err(BadQuery::NotEncoded)),
            ("a=%ff", Err(BadQuery::NotEncoded)),
        ] {
            assert_eq!(read(query), expected, "{query}");
        }
    }

    #[test]
    fn only_so_many_parameters_are_read() {
        let query: String = (0..100_000).map(|n| format!("p{n}=%zz&")).collect();
        let sound = query.replace("%zz", "1");
        let Ok(Json::Object(read_ones)) = read(&sound) else { panic!("they are sound") };
        assert_eq!(read_ones.len(), PARAMETERS_MAX);
        // The first that is not read is not decoded either.
        let ones: Vec<_> = sound.split('&').take(PARAMETERS_MAX).collect();
        assert!(read(&format!("{}&x=%zz", ones.join("&"))).is_ok());
        assert_eq!(read(&query), Err(BadQuery::NotEncoded));
    }
}
