//! A strict reader of JSON bodies: bounded depth, no field twice, every field under one name.
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::cell::RefCell;
use std::fmt;

/// A JSON value as it was sent. Fields are named in snake_case, whatever the client wrote.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Whole(i128),
    Fraction(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Why a body is no JSON that Tidegate reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the field {0:?} is there twice")]
    Twice(String),
    #[error("the body nests deeper than {0} levels")]
    TooDeep(u8),
    #[error("the body is not JSON: line {line}, column {column}")]
    NotJson { line: usize, column: usize },
}

/// Reads a whole body.
pub(crate) fn read(body: &[u8], depth_max: u8) -> Result<Json, Malformed> {
    let refused = RefCell::new(None);
    let mut from = serde_json::Deserializer::from_slice(body);
    let reader = Reader { depth_left: depth_max, depth_max, refused: &refused };
    let read = reader.deserialize(&mut from).and_then(|json| from.end().map(|()| json));
    read.map_err(|error| {
        let not_json = Malformed::NotJson { line: error.line(), column: error.column() };
        refused.take().unwrap_or(not_json)
    })
}

/// `eventId` and `event_id` are one field: requests may come in either style.
pub(crate) fn snake_case(name: &str) -> String {
    let camel = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric());
    if !camel {
        return name.to_owned();
    }
    let mut snake = String::with_capacity(name.len() + 2);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[derive(Clone, Copy)]
struct Reader<'r> {
    depth_left: u8,
    depth_max: u8,
    /// Serde errors are texts; the reason is kept beside.
    refused: &'r RefCell<Option<Malformed>>,
}

impl Reader<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.refuse(Malformed::TooDeep(self.depth_max))),
        }
    }

    fn refuse<E: serde::de::Error>(self, reason: Malformed) -> E {
        *self.refused.borrow_mut() = Some(reason);
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Fraction(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = from.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut fields: Vec<(String, Json)> = Vec::new();
        while let Some(sent) = from.next_key::<String>()? {
            let name = snake_case(&sent);
            if fields.len() >= FIELDS_MAX {
                return Err(A::Error::custom("too many fields"));
            }
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(self.refuse(Malformed::Twice(sent)));
            }
            fields.push((name, from.next_value_seed(inner)?));
        }
        Ok(Json::Object(fields))
    }
}

/// No request has nearly as many; the search for repeated fields stays cheap.
const FIELDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_strictly() {
        let not_json = |line, column| Err(Malformed::NotJson { line, column });
        let object = |name: &str, value| Ok(Json::Object(vec![(name.into(), value)]));
        for (body, expected) in [
            (&b"{}"[..], Ok(Json::Object(vec![]))),
            (b" [1, -2, 1.5] ", {
                let list = vec![Json::Whole(1), Json::Whole(-2), Json::Fraction(1.5)];
                Ok(Json::List(list))
            }),
            (b"{\"eventId\": \"x\"}", object("event_id", Json::Text("x".into()))),
            (b"{\"a\": 1, \"a\": 2}", Err(Malformed::Twice("a".into()))),
            (b"{\"event_id\": 1, \"eventId\": 2}", Err(Malformed::Twice("eventId".into()))),
            (b"{\"a\": {\"b\": 1, \"b\": 2}}", Err(Malformed::Twice("b".into()))),
            (b"", not_json(1, 0)),
            (b"{", not_json(1, 1)),
            (b"{} {}", not_json(1, 4)),
            (b"{\"a\": NaN}", not_json(1, 7)),
            (b"{\"a\": 1,}", not_json(1, 9)),
            (b"\"\xff\"", not_json(1, 2)),
            (b"{'a': 1}", not_json(1, 2)),
        ] {
            assert_eq!(read(body, 4), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(read(b"[[[[]]]]", 4).is_ok());
        assert_eq!(read(b"[[[[[]]]]]", 4), Err(Malformed::TooDeep(4)));
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(read(&deep, 16), Err(Malformed::TooDeep(16)));
    }

    #[test]
    fn only_camel_case_names_are_rewritten() {
        for (sent, name) in [
            ("eventId", "event_id"),
            ("event_id", "event_id"),
            ("holdTtlSeconds", "hold_ttl_seconds"),
            ("EventId", "EventId"),
            ("event-Id", "event-Id"),
            ("", ""),
        ] {
            assert_eq!(snake_case(sent), name);
        }
    }
}
