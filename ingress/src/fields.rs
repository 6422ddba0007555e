//! Fields of a request, read by rules; everything that is wrong is said at once.
use crate::json::Json;
use serde::Serialize;
use std::ops::RangeInclusive;

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// The path of the field: "sections[0].price".
    pub field: String,
    pub message: String,
}

/// The fields of one object. A rule takes a field's value and its path; what no rule asked for is
/// unknown, and refused.
pub(crate) struct Fields<'e> {
    path: String,
    left: Vec<(String, Json)>,
    errors: &'e mut Vec<FieldError>,
}

/// What is wrong with a value, where it is not the whole value: a path below it, and a message.
pub(crate) struct Wrong(Vec<FieldError>);

impl From<&str> for Wrong {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(vec![FieldError { field: String::new(), message: message.into() }])
    }
}

/// Reads `json` by `rule`. All errors, or the value.
pub(crate) fn read<T>(
    json: Json,
    rule: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<T, Vec<FieldError>> {
    object(rule)(json).map_err(|Wrong(errors)| errors)
}

impl Fields<'_> {
    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(Json) -> Result<T, Wrong>,
    ) -> Option<T> {
        if !self.has(name) {
            self.wrong(name, "is required");
            return None;
        }
        self.optional(name, rule)
    }

    /// A field that may be left out. `None` also when it is wrong; the whole is refused then.
    pub(crate) fn optional<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(Json) -> Result<T, Wrong>,
    ) -> Option<T> {
        let at = self.left.iter().position(|(field, _)| field == name)?;
        let (_, value) = self.left.swap_remove(at);
        match rule(value) {
            Ok(value) => Some(value),
            Err(Wrong(errors)) => {
                let path = join(&self.path, name);
                self.errors.extend(errors.into_iter().map(|e| below(&path, e)));
                None
            }
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(field, _)| field == name)
    }

    pub(crate) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        let field = join(&self.path, name);
        self.errors.push(FieldError { field, message: message.into() });
    }
}

fn join(path: &str, name: &str) -> String {
    match (path.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => path.to_owned(),
        (false, false) if name.starts_with('[') => format!("{path}{name}"),
        (false, false) => format!("{path}.{name}"),
    }
}

fn below(path: &str, error: FieldError) -> FieldError {
    FieldError { field: join(path, &error.field), message: error.message }
}

/// An object of these fields and no others.
pub(crate) fn object<T>(
    rule: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> impl FnOnce(Json) -> Result<T, Wrong> {
    move |json| {
        let Json::Object(left) = json else { return Err("must be an object".into()) };
        let mut errors = Vec::new();
        let mut fields = Fields { path: String::new(), left, errors: &mut errors };
        let value = rule(&mut fields);
        let unknown = std::mem::take(&mut fields.left);
        for (field, _) in unknown {
            let field = shown(&field);
            errors.push(FieldError { field, message: "is not a field of this request".into() });
        }
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            Some(_) | None => Err(Wrong(errors)),
        }
    }
}

/// A name that a client made up, cut so that an answer does not carry a body back.
fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

/// A list with each item by `rule`.
pub(crate) fn list<T>(
    length: RangeInclusive<usize>,
    rule: impl Fn(Json) -> Result<T, Wrong>,
) -> impl FnOnce(Json) -> Result<Vec<T>, Wrong> {
    move |json| {
        let Json::List(items) = json else { return Err("must be a list".into()) };
        if !length.contains(&items.len()) {
            let (least, most) = (length.start(), length.end());
            return Err(format!("must have {least} to {most} items").into());
        }
        let mut values = Vec::with_capacity(items.len());
        let mut errors = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            match rule(item) {
                Ok(value) => values.push(value),
                Err(Wrong(wrong)) => {
                    let path = format!("[{at}]");
                    errors.extend(wrong.into_iter().map(|e| below(&path, e)));
                }
            }
        }
        if errors.is_empty() { Ok(values) } else { Err(Wrong(errors)) }
    }
}

/// A text of so many characters, none of them a control character.
pub(crate) fn text(
    length: RangeInclusive<usize>,
) -> impl FnOnce(Json) -> Result<String, Wrong> + Copy {
    let (least, most) = (*length.start(), *length.end());
    move |json| match json {
        Json::Text(text) if !(least..=most).contains(&text.chars().count()) => {
            Err(format!("must have {least} to {most} characters").into())
        }
        Json::Text(text) if text.chars().any(char::is_control) => {
            Err("must not have control characters".into())
        }
        Json::Text(text) => Ok(text),
        Json::Null
        | Json::Bool(_)
        | Json::Whole(_)
        | Json::Fraction(_)
        | Json::List(_)
        | Json::Object(_) => Err("must be a text".into()),
    }
}

/// A text that `parse` takes.
pub(crate) fn parsed<T, E: std::fmt::Display>(
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> impl FnOnce(Json) -> Result<T, Wrong> {
    move |json| match json {
        Json::Text(text) => parse(&text).map_err(|error| Wrong::new(error.to_string())),
        Json::Null
        | Json::Bool(_)
        | Json::Whole(_)
        | Json::Fraction(_)
        | Json::List(_)
        | Json::Object(_) => Err("must be a text".into()),
    }
}

/// A whole number in a range.
pub(crate) fn whole<T>(range: RangeInclusive<T>) -> impl FnOnce(Json) -> Result<T, Wrong> + Clone
where
    T: TryFrom<i128> + PartialOrd + std::fmt::Display + Clone,
{
    move |json| {
        let (least, most) = (range.start(), range.end());
        let refused = || Wrong::new(format!("must be a whole number from {least} to {most}"));
        let Json::Whole(number) = json else { return Err(refused()) };
        let number = T::try_from(number).map_err(|_| refused())?;
        if range.contains(&number) { Ok(number) } else { Err(refused()) }
    }
}

/// A whole number written as a text, as query parameters are.
pub(crate) fn digits<T>(range: RangeInclusive<T>) -> impl FnOnce(Json) -> Result<T, Wrong>
where
    T: TryFrom<i128> + PartialOrd + std::fmt::Display + Clone,
{
    move |json| {
        let plain = |text: &String| {
            !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit())
        };
        let number = match json {
            Json::Text(text) if plain(&text) => text.parse().map_or(Json::Null, Json::Whole),
            Json::Text(_)
            | Json::Null
            | Json::Bool(_)
            | Json::Whole(_)
            | Json::Fraction(_)
            | Json::List(_)
            | Json::Object(_) => Json::Null,
        };
        whole(range)(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    type Read = (String, u32, Vec<u32>);

    fn rule(fields: &mut Fields<'_>) -> Option<Read> {
        let name = fields.required("name", text(1..=5));
        let count = fields.optional("count", whole(1..=9));
        let inner =
            |json| object(|fields: &mut Fields<'_>| fields.required("n", whole(0..=3)))(json);
        let items = fields.optional("items", list(0..=2, inner));
        Some((name?, count.unwrap_or(7), items.unwrap_or_default()))
    }

    fn check(body: &str, expected: Result<Read, &[(&str, &str)]>) {
        let found = read(json::read(body.as_bytes(), 8).unwrap(), rule);
        let expected = expected.map_err(|errors| {
            let own = |(field, message): &(&str, &str)| FieldError {
                field: (*field).into(),
                message: (*message).into(),
            };
            errors.iter().map(own).collect::<Vec<_>>()
        });
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let number = "must be a whole number from 1 to 9";
        check(r#"{"name": "a"}"#, Ok(("a".into(), 7, vec![])));
        check(r#"{"name": "a", "items": [{"n": 3}]}"#, Ok(("a".into(), 7, vec![3])));
        check("{}", Err(&[("name", "is required")]));
        check("[]", Err(&[("", "must be an object")]));
        check(
            r#"{"name": 5, "count": 10, "admin": true}"#,
            Err(&[
                ("name", "must be a text"),
                ("count", number),
                ("admin", "is not a field of this request"),
            ]),
        );
        check(r#"{"name": "a", "count": 1.0}"#, Err(&[("count", number)]));
        check(r#"{"name": "a", "count": null}"#, Err(&[("count", number)]));
        check(r#"{"name": "a", "count": "3"}"#, Err(&[("count", number)]));
        check(r#"{"name": "a", "count": 99999999999999999999}"#, Err(&[("count", number)]));
        check(r#"{"name": "toolong"}"#, Err(&[("name", "must have 1 to 5 characters")]));
        check(r#"{"name": "a\nb"}"#, Err(&[("name", "must not have control characters")]));
        check(
            r#"{"name": "a", "items": [{"n": 4}, {"x": 1, "n": 0}]}"#,
            Err(&[
                ("items[0].n", "must be a whole number from 0 to 3"),
                ("items[1].x", "is not a field of this request"),
            ]),
        );
    }

    #[test]
    fn digits_are_plain_numbers() {
        let number = |text: &str| digits(0..=30u32)(Json::Text(text.into())).ok();
        for (text, expected) in [
            ("0", Some(0)),
            ("30", Some(30)),
            ("31", None),
            ("-1", None),
            ("+1", None),
            ("1e1", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }
}
