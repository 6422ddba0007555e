//! The rules by which fields of requests are read and described.
use crate::fields::{
    ERRORS_MAX, FieldError, Fields, Rule, Unknown, Wrong, describe_object, read_object,
};
#[cfg(test)]
use crate::json;
use crate::json::Json;
use crate::schemas::{Described, Schemas, saying};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// A request's body, or a part of one that has a name: how it is read, and what the document says.
pub(crate) struct Form<T: 'static> {
    pub name: &'static str,
    pub says: &'static str,
    /// A body as a client would send it, in JSON.
    pub example: &'static str,
    pub fields: fn(&mut Fields<'_>) -> Option<T>,
}

/// A form, whatever it is read into.
pub(crate) trait Body: Sync {
    /// A reference to its schema.
    fn reference(&self, to: &mut Schemas) -> Value;

    /// What is wrong with its example, if anything.
    #[cfg(test)]
    fn check_example(&self, depth_max: u8) -> Result<(), Vec<FieldError>>;
}

impl<T> Form<T> {
    /// Everything that is wrong, or the value.
    pub(crate) fn read(&self, json: Json) -> Result<T, Vec<FieldError>> {
        read_object(json, Unknown::Refused, self.fields).map_err(|Wrong(errors)| errors)
    }
}

impl<T> Body for Form<T> {
    fn reference(&self, to: &mut Schemas) -> Value {
        to.named(self.name, |to| {
            let mut schema = saying(describe_object(to, self.fields), self.says);
            let example: Value = serde_json::from_str(self.example).expect("an example is JSON");
            schema["examples"] = json!([example]);
            schema
        })
    }

    #[cfg(test)]
    fn check_example(&self, depth_max: u8) -> Result<(), Vec<FieldError>> {
        let json = json::read(self.example.as_bytes(), depth_max);
        let json = json.map_err(|error| {
            vec![FieldError { field: String::new(), message: error.to_string() }]
        })?;
        self.read(json).map(drop)
    }
}

impl<T> Rule for &'static Form<T> {
    type Value = T;

    fn read(&self, json: Json) -> Result<T, Wrong> {
        read_object(json, Unknown::Refused, self.fields)
    }

    fn schema(&self, to: &mut Schemas) -> Value {
        self.reference(to)
    }

    fn takes(&self, json: &Json) -> bool {
        matches!(json, Json::Object(_))
    }
}

/// A text of so many characters, none of them a control character.
pub(crate) fn text(length: RangeInclusive<usize>) -> Text {
    Text { length }
}

pub(crate) struct Text {
    length: RangeInclusive<usize>,
}

impl Rule for Text {
    type Value = String;

    fn read(&self, json: Json) -> Result<String, Wrong> {
        let Json::Text(text) = json else { return Err("must be a text".into()) };
        if !self.length.contains(&text.chars().count()) {
            let (least, most) = (self.length.start(), self.length.end());
            return Err(format!("must have {least} to {most} characters").into());
        }
        if text.chars().any(char::is_control) {
            return Err("must not have control characters".into());
        }
        Ok(text)
    }

    fn schema(&self, _: &mut Schemas) -> Value {
        let (least, most) = (self.length.start(), self.length.end());
        json!({ "type": "string", "minLength": least, "maxLength": most })
    }

    fn takes(&self, json: &Json) -> bool {
        matches!(json, Json::Text(_))
    }
}

/// True or false.
pub(crate) fn flag() -> Flag {
    Flag
}

pub(crate) struct Flag;

impl Rule for Flag {
    type Value = bool;

    fn read(&self, json: Json) -> Result<bool, Wrong> {
        let Json::Bool(value) = json else { return Err("must be true or false".into()) };
        Ok(value)
    }

    fn schema(&self, _: &mut Schemas) -> Value {
        json!({ "type": "boolean" })
    }

    fn takes(&self, json: &Json) -> bool {
        matches!(json, Json::Bool(_))
    }
}

/// A text of so many bytes, whatever they are.
pub(crate) fn secret(bytes: RangeInclusive<usize>) -> Secret {
    Secret { bytes }
}

pub(crate) struct Secret {
    bytes: RangeInclusive<usize>,
}

impl Rule for Secret {
    type Value = String;

    fn read(&self, json: Json) -> Result<String, Wrong> {
        let Json::Text(text) = json else { return Err("must be a text".into()) };
        if self.bytes.contains(&text.len()) {
            return Ok(text);
        }
        Err(format!("must have {} to {} bytes", self.bytes.start(), self.bytes.end()).into())
    }

    fn schema(&self, _: &mut Schemas) -> Value {
        // Bytes are checked; so many characters are never fewer bytes.
        json!({ "type": "string", "format": "password", "maxLength": self.bytes.end() })
    }

    fn takes(&self, json: &Json) -> bool {
        matches!(json, Json::Text(_))
    }
}

/// A text that `parse` takes, and that looks like a `T` in the document.
pub(crate) fn parsed<T: Described, E: Display>(parse: fn(&str) -> Result<T, E>) -> Parsed<T, E> {
    Parsed { parse, schema: T::schema }
}

/// The same with a schema of its own.
pub(crate) fn parsed_as<T, E: Display>(
    parse: fn(&str) -> Result<T, E>,
    schema: fn(&mut Schemas) -> Value,
) -> Parsed<T, E> {
    Parsed { parse, schema }
}

pub(crate) struct Parsed<T, E> {
    parse: fn(&str) -> Result<T, E>,
    schema: fn(&mut Schemas) -> Value,
}

impl<T, E: Display> Rule for Parsed<T, E> {
    type Value = T;

    fn read(&self, json: Json) -> Result<T, Wrong> {
        let Json::Text(text) = json else { return Err("must be a text".into()) };
        (self.parse)(&text).map_err(|error| Wrong::new(error.to_string()))
    }

    fn schema(&self, to: &mut Schemas) -> Value {
        (self.schema)(to)
    }

    fn takes(&self, json: &Json) -> bool {
        matches!(json, Json::Text(_))
    }
}

/// A whole number in a range.
pub(crate) fn whole<T>(range: RangeInclusive<T>) -> Whole<T> {
    Whole { range, as_text: false }
}

/// A whole number written as a text, as query parameters are.
pub(crate) fn digits<T>(range: RangeInclusive<T>) -> Whole<T> {
    Whole { range, as_text: true }
}

pub(crate) struct Whole<T> {
    range: RangeInclusive<T>,
    as_text: bool,
}

impl<T: TryFrom<i128> + PartialOrd + Display + Serialize> Rule for Whole<T> {
    type Value = T;

    fn read(&self, json: Json) -> Result<T, Wrong> {
        let number = match json {
            Json::Whole(number) if !self.as_text => Some(number),
            Json::Text(text) if self.as_text => number(&text),
            Json::Null
            | Json::Bool(_)
            | Json::Whole(_)
            | Json::Fraction(_)
            | Json::Text(_)
            | Json::List(_)
            | Json::Object(_) => None,
        };
        let number = number.and_then(|number| T::try_from(number).ok());
        number.filter(|number| self.range.contains(number)).ok_or_else(|| {
            let (least, most) = (self.range.start(), self.range.end());
            Wrong::new(format!("must be a whole number from {least} to {most}"))
        })
    }

    fn schema(&self, _: &mut Schemas) -> Value {
        let (least, most) = (self.range.start(), self.range.end());
        json!({ "type": "integer", "minimum": least, "maximum": most })
    }

    fn takes(&self, json: &Json) -> bool {
        matches!(json, Json::Whole(_))
    }
}

/// The number that is written in plain digits.
fn number(text: &str) -> Option<i128> {
    let is_plain = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// A list with each item by `rule`.
pub(crate) fn list<R: Rule>(length: RangeInclusive<usize>, rule: R) -> List<R> {
    List { length, rule }
}

pub(crate) struct List<R> {
    length: RangeInclusive<usize>,
    rule: R,
}

impl<R: Rule> Rule for List<R> {
    type Value = Vec<R::Value>;

    fn read(&self, json: Json) -> Result<Self::Value, Wrong> {
        let Json::List(items) = json else { return Err("must be a list".into()) };
        if !self.length.contains(&items.len()) {
            let (least, most) = (self.length.start(), self.length.end());
            return Err(format!("must have {least} to {most} items").into());
        }
        let mut values = Vec::with_capacity(items.len());
        let mut errors = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            match self.rule.read(item) {
                Ok(value) => values.push(value),
                Err(wrong) => errors.extend(wrong.below(&format!("[{at}]"))),
            }
            if errors.len() >= ERRORS_MAX {
                break;
            }
        }
        if errors.is_empty() { Ok(values) } else { Err(Wrong(errors)) }
    }

    fn schema(&self, to: &mut Schemas) -> Value {
        let (least, most) = (self.length.start(), self.length.end());
        let items = self.rule.schema(to);
        json!({ "type": "array", "items": items, "minItems": least, "maxItems": most })
    }

    fn takes(&self, json: &Json) -> bool {
        matches!(json, Json::List(_))
    }
}

/// `null`, where it means something.
pub(crate) struct Null;

impl Rule for Null {
    type Value = ();

    fn read(&self, _: Json) -> Result<(), Wrong> {
        Ok(())
    }

    fn schema(&self, _: &mut Schemas) -> Value {
        json!({ "type": "null" })
    }

    fn takes(&self, json: &Json) -> bool {
        *json == Json::Null
    }
}

/// What `rule` reads, made into something else.
pub(crate) fn map<R, T>(rule: R, make: fn(R::Value) -> T) -> Mapped<R, T>
where
    R: Rule,
{
    Mapped { rule, make }
}

pub(crate) struct Mapped<R: Rule, T> {
    rule: R,
    make: fn(R::Value) -> T,
}

impl<R: Rule, T> Rule for Mapped<R, T> {
    type Value = T;

    fn read(&self, json: Json) -> Result<T, Wrong> {
        self.rule.read(json).map(self.make)
    }

    fn schema(&self, to: &mut Schemas) -> Value {
        self.rule.schema(to)
    }

    fn takes(&self, json: &Json) -> bool {
        self.rule.takes(json)
    }
}

/// What one of two rules reads, by the kind of the value; `message` where it is neither's.
pub(crate) fn either<A, B>(one: A, other: B, message: &'static str) -> Either<A, B> {
    Either { one, other, message }
}

pub(crate) struct Either<A, B> {
    one: A,
    other: B,
    message: &'static str,
}

impl<T, A: Rule<Value = T>, B: Rule<Value = T>> Rule for Either<A, B> {
    type Value = T;

    fn read(&self, json: Json) -> Result<T, Wrong> {
        if self.one.takes(&json) {
            self.one.read(json)
        } else if self.other.takes(&json) {
            self.other.read(json)
        } else {
            Err(self.message.into())
        }
    }

    fn schema(&self, to: &mut Schemas) -> Value {
        json!({ "anyOf": [self.one.schema(to), self.other.schema(to)] })
    }

    fn takes(&self, json: &Json) -> bool {
        self.one.takes(json) || self.other.takes(json)
    }
}

#[cfg(test)]
mod tests;
