//! Fields of a request, read by rules; everything that is wrong is said at once. The same rules
//! describe the fields to the document.
use crate::json::Json;
use crate::schemas::{Schemas, saying};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The most errors that an answer lists: it must not outgrow the request.
pub(crate) const ERRORS_MAX: usize = 64;

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// The path of the field: "sections[0].price".
    pub field: String,
    pub message: String,
}

/// How one value is read, and what the document says of it.
pub(crate) trait Rule {
    type Value;

    fn read(&self, json: Json) -> Result<Self::Value, Wrong>;

    fn schema(&self, to: &mut Schemas) -> Value;

    /// Whether values of this kind are for this rule, where several rules share them out.
    fn takes(&self, json: &Json) -> bool;
}

/// What is wrong with a value, where it is not the whole value: a path below it, and a message.
pub(crate) struct Wrong(pub(crate) Vec<FieldError>);

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

    /// The same errors, of a value that is at `path` in another.
    pub(crate) fn below(self, path: &str) -> impl Iterator<Item = FieldError> {
        self.0.into_iter().map(move |error| FieldError {
            field: join(path, &error.field),
            message: error.message,
        })
    }
}

fn join(path: &str, name: &str) -> String {
    match name.is_empty() {
        true => path.to_owned(),
        false if name.starts_with('[') => format!("{path}{name}"),
        false => format!("{path}.{name}"),
    }
}

/// The fields of one object, for the function that names them: it reads them, or, run without a
/// request, describes them.
pub(crate) struct Fields<'f>(Work<'f>);

enum Work<'f> {
    /// What no rule asked for is unknown in the end.
    Read {
        left: Vec<(String, Json)>,
        errors: &'f mut Vec<FieldError>,
    },
    Describe(Description<'f>),
}

struct Description<'s> {
    schemas: &'s mut Schemas,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
    /// Rules about which fields go together.
    together: Map<String, Value>,
}

impl Fields<'_> {
    /// A field that must be there. `says` is its description.
    pub(crate) fn required<R: Rule>(
        &mut self,
        name: &'static str,
        rule: R,
        says: &str,
    ) -> Option<R::Value> {
        if let Work::Describe(description) = &mut self.0 {
            description.required.push(name);
        } else if !self.has(name) {
            self.wrong(name, "is required");
            return None;
        }
        self.optional(name, rule, says)
    }

    /// A field that may be left out. `None` also when it is wrong; the whole is refused then.
    pub(crate) fn optional<R: Rule>(
        &mut self,
        name: &'static str,
        rule: R,
        says: &str,
    ) -> Option<R::Value> {
        match &mut self.0 {
            Work::Read { left, errors } => {
                let at = left.iter().position(|(field, _)| field == name)?;
                let (_, value) = left.swap_remove(at);
                match rule.read(value) {
                    Ok(value) => Some(value),
                    Err(wrong) => {
                        errors.extend(wrong.below(name));
                        None
                    }
                }
            }
            Work::Describe(description) => {
                let schema = saying(rule.schema(description.schemas), says);
                description.properties.insert(name.to_owned(), schema);
                None
            }
        }
    }

    /// Of these fields exactly one must be there. Where it is not so, none of them is read.
    pub(crate) fn exactly_one(&mut self, names: &'static [&'static str]) {
        match &mut self.0 {
            Work::Read { left, errors } => {
                let is_named = |name: &str| names.contains(&name);
                if left.iter().filter(|(name, _)| is_named(name)).count() == 1 {
                    return;
                }
                left.retain(|(name, _)| !is_named(name));
                let field = names.first().copied().unwrap_or_default().to_owned();
                let message = format!("exactly one of {} is needed", names.join(", "));
                errors.push(FieldError { field, message });
            }
            Work::Describe(description) => {
                let ways = names.iter().map(|name| json!({ "required": [name] }));
                description.together.insert("oneOf".to_owned(), ways.collect());
            }
        }
    }

    /// The field `name` must not come with the field `other`.
    pub(crate) fn not_with(&mut self, name: &'static str, other: &'static str, why: &str) {
        if let Work::Describe(description) = &mut self.0 {
            let both = json!({ "required": [name, other] });
            description.together.insert("not".to_owned(), both);
        } else if self.has(name) && self.has(other) {
            self.wrong(name, format!("must not come with {other}: {why}"));
        }
    }

    fn has(&self, name: &str) -> bool {
        match &self.0 {
            Work::Read { left, .. } => left.iter().any(|(field, _)| field == name),
            Work::Describe(_) => false,
        }
    }

    fn wrong(&mut self, name: &str, message: impl Into<String>) {
        if let Work::Read { errors, .. } = &mut self.0 {
            errors.push(FieldError { field: name.to_owned(), message: message.into() });
        }
    }
}

/// What to do with fields that no rule asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Refused,
    Ignored,
}

/// Reads the fields of an object.
pub(crate) fn read_object<T>(
    json: Json,
    unknown: Unknown,
    fields: impl Fn(&mut Fields<'_>) -> Option<T>,
) -> Result<T, Wrong> {
    let Json::Object(left) = json else { return Err("must be an object".into()) };
    let mut errors = Vec::new();
    let mut reading = Fields(Work::Read { left, errors: &mut errors });
    let value = fields(&mut reading);
    let left = match reading.0 {
        Work::Read { left, .. } if unknown == Unknown::Refused => left,
        Work::Read { .. } | Work::Describe(_) => Vec::new(),
    };
    for (field, _) in left {
        let field = shortened(&field);
        errors.push(FieldError { field, message: "is not a field of this request".into() });
    }
    errors.truncate(ERRORS_MAX);
    match value {
        Some(value) if errors.is_empty() => Ok(value),
        Some(_) | None => Err(Wrong(errors)),
    }
}

/// The schema of an object with these fields and no others.
pub(crate) fn describe_object<T>(
    schemas: &mut Schemas,
    fields: impl Fn(&mut Fields<'_>) -> Option<T>,
) -> Value {
    let (properties, together) = (Map::new(), Map::new());
    let description = Description { schemas, properties, required: Vec::new(), together };
    let mut describing = Fields(Work::Describe(description));
    fields(&mut describing);
    let Work::Describe(description) = describing.0 else { return Value::Null };
    let Description { properties, required, mut together, .. } = description;
    together.insert("type".to_owned(), "object".into());
    together.insert("properties".to_owned(), properties.into());
    together.insert("required".to_owned(), required.into());
    together.insert("additionalProperties".to_owned(), false.into());
    together.into()
}

/// A name that a client made up, cut so that an answer does not carry a body back.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}
