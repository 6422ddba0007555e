//! Holds every answer, and every request that was taken, against the OpenAPI document.
use crate::client::Response;
use crate::fixture::bounds;
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| ingress::document(&bounds()));

pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// Panics when the document does not tell of this answer.
pub(crate) fn check(method: &str, path: &str, request: Option<&[u8]>, answer: &Response) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(operation) = operation(method, path) else {
        assert!(matches!(answer.status, 204 | 400 | 404 | 405 | 429 | 503), "{method} {path}");
        return;
    };
    let status = answer.status.to_string();
    let documented = &operation["responses"][&status];
    let text = String::from_utf8_lossy(&answer.body);
    assert!(documented.is_object(), "{method} {path} answers {status}, undocumented: {text}");
    if let Some(content) = documented["content"].as_object() {
        let media = answer.header("content-type").unwrap_or_default();
        let schema = &content.get(media).unwrap_or_else(|| panic!("{method} {path}: {media}"));
        if media.ends_with("json") {
            expect(&schema["schema"], &answer.json(), &format!("{method} {path} {status}"));
        }
    } else {
        assert!(answer.body.is_empty(), "{method} {path} {status} has a body: {text}");
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    if let Some(request) = request.filter(|body| !body.is_empty() && answer.status < 300) {
        let sent: Value = serde_json::from_slice(request).unwrap();
        // Requests may be in camelCase; the document describes them in snake_case.
        expect(schema, &snake_case(sent), &format!("the request of {method} {path}"));
    }
}

fn snake_case(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let snake = |name: String| {
                let parts = name.chars().flat_map(|c| {
                    let mark = c.is_ascii_uppercase().then_some('_');
                    mark.into_iter().chain([c.to_ascii_lowercase()])
                });
                parts.collect::<String>()
            };
            let fields = fields.into_iter().map(|(name, field)| (snake(name), snake_case(field)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(snake_case).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object()?;
    let fits = |template: &str| {
        let (own, sent) = (template.split('/'), path.split('/'));
        let same = |(own, sent): (&str, &str)| match own.strip_prefix('{') {
            Some(rest) => {
                let suffix = rest.split_once('}').map_or("", |(_, suffix)| suffix);
                sent.ends_with(suffix) && sent.len() > suffix.len()
            }
            None => own == sent,
        };
        template.split('/').count() == path.split('/').count() && own.zip(sent).all(same)
    };
    let looseness =
        |template: &str| template.matches('{').count() * 2 - template.matches("}.").count();
    let template = paths.keys().filter(|t| fits(t)).min_by_key(|t| looseness(t))?;
    paths[template].get(method.to_lowercase())
}

/// Panics when `value` is not what `schema` describes.
#[track_caller]
pub(crate) fn expect(schema: &Value, value: &Value, place: &str) {
    if let Err(wrong) = fits(schema, value) {
        panic!("{place}: {wrong:.500}\nin {:.500}", value.to_string());
    }
}

fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return fits(DOCUMENT.pointer(pointer).ok_or("a dead reference")?, value);
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        let fits_one = ways.iter().any(|way| fits(way, value).is_ok());
        return if fits_one { Ok(()) } else { Err(format!("{value} fits none of {ways:?}")) };
    }
    if let Some(ways) = schema["oneOf"].as_array() {
        let count = ways.iter().filter(|way| object_fits(way, value).is_ok()).count();
        if count != 1 {
            return Err(format!("{value} fits {count} of {ways:?}"));
        }
    }
    if schema["not"].is_object() && object_fits(&schema["not"], value).is_ok() {
        return Err(format!("{value} is what must not be: {}", schema["not"]));
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("{value} is not one of {values:?}"));
    }
    has_type(schema, value)?;
    in_bounds(schema, value)?;
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        list.iter().try_for_each(|item| fits(items, item))?;
    }
    object_fits(schema, value)
}

fn has_type(schema: &Value, value: &Value) -> Result<(), String> {
    let is = |kind: &Value| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        other => panic!("a type that this check does not know: {other:?}"),
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(is),
        kind => is(kind),
    };
    if fits { Ok(()) } else { Err(format!("{value} is not {}", schema["type"])) }
}

fn in_bounds(schema: &Value, value: &Value) -> Result<(), String> {
    let number = value.as_i64();
    let length = value.as_str().map(|text| text.chars().count() as i64);
    let items = value.as_array().map(|list| list.len() as i64);
    for (name, size, is_least) in [
        ("minimum", number, true),
        ("maximum", number, false),
        ("minLength", length, true),
        ("maxLength", length, false),
        ("minItems", items, true),
        ("maxItems", items, false),
    ] {
        if let (Some(bound), Some(size)) = (schema[name].as_i64(), size)
            && ((is_least && size < bound) || (!is_least && size > bound))
        {
            return Err(format!("{value} is out of {name} {bound}"));
        }
    }
    if schema["const"].is_string() && schema["const"] != *value {
        return Err(format!("{value} is not {}", schema["const"]));
    }
    if schema["format"] == "date-time" && !value.as_str().is_some_and(|t| t.ends_with('Z')) {
        return Err(format!("{value} is no UTC time"));
    }
    Ok(())
}

fn object_fits(schema: &Value, value: &Value) -> Result<(), String> {
    let Some(object) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(name.as_str().unwrap_or_default()) {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, field) in object {
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{name} is too much")),
            // Answers are allowed to gain fields, but not without being documented.
            (Value::Null, Value::Null) if schema["properties"].is_object() => {
                return Err(format!("{name} is not documented"));
            }
            (Value::Null, Value::Null | Value::Bool(_)) => {}
            (Value::Null, rest) => fits(rest, field)?,
            (property, _) => fits(property, field)?,
        }
    }
    Ok(())
}
