//! What the OpenAPI document says of a type: its schema, collected from the type itself.
use ledger::{
    AccountId, BookingId, BookingItem, BookingStatus, Currency, EventId, HoldId, Money, PlaceId,
    QueueId, QueueState, Refund, RefundId, RefundStatus, SectionId, TicketId, TicketState,
    Timestamp,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The schemas that have a name, collected while the document is made.
#[derive(Default)]
pub(crate) struct Schemas(Map<String, Value>);

impl Schemas {
    /// A reference to the schema of this name, which is made the first time.
    pub(crate) fn named(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.0.contains_key(name) {
            // Kept first, so that a schema may refer to itself.
            self.0.insert(name.to_owned(), Value::Null);
            let schema = make(self);
            self.0.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// What a reference refers to.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn into_value(self) -> Value {
        self.0.into()
    }
}

/// A type of which the document says how it looks as JSON.
pub(crate) trait Described {
    fn schema(to: &mut Schemas) -> Value;
}

/// A schema with a sentence that says what it is.
pub(crate) fn saying(mut schema: Value, says: &str) -> Value {
    schema["description"] = says.trim().into();
    schema
}

/// A page of a list.
pub(crate) fn page_of<T: Described>(name: &str, to: &mut Schemas) -> Value {
    to.named(name, |to| {
        let items = saying(<Vec<T>>::schema(to), "The items of this page, in their order.");
        let next = saying(
            <Option<String>>::schema(to),
            "What to pass as `cursor` for the next page; null on the last one.",
        );
        json!({
            "type": "object",
            "description": "One page of a list.",
            "properties": { "items": items, "next_cursor": next },
            "required": ["items", "next_cursor"],
            "examples": [{ "items": [], "next_cursor": null }],
        })
    })
}

/// Declares an answer once: the struct that is written and the schema that the document shows.
macro_rules! answer {
    (
        $(#[doc = $says:literal])+
        struct $name:ident $(<$life:lifetime>)? as $schema:literal, such as $example:literal {
            $(
                $(#[doc = $field_says:literal])+
                $(#[serde(skip_serializing_if = $skip:literal)])?
                $field:ident: $kind:ty,
            )*
        }
    ) => {
        $(#[doc = $says])+
        #[derive(serde::Serialize)]
        pub(crate) struct $name $(<$life>)? {
            $(
                $(#[doc = $field_says])+
                $(#[serde(skip_serializing_if = $skip)])?
                pub(crate) $field: $kind,
            )*
        }

        impl $(<$life>)? $crate::schemas::Described for $name $(<$life>)? {
            fn schema(to: &mut $crate::schemas::Schemas) -> serde_json::Value {
                to.named($schema, |to| {
                    let mut object = $crate::schemas::Object::new(concat!($($says),+), $example);
                    $(
                        let skipped: &[&str] = &[$($skip)?];
                        let schema = <$kind as $crate::schemas::Described>::schema(to);
                        object.field(stringify!($field), schema, concat!($($field_says),+), skipped.is_empty());
                    )*
                    object.into_schema()
                })
            }
        }
    };
}
pub(crate) use answer;

/// Describes a struct of another crate. A field that is not named here does not compile.
macro_rules! describe {
    (
        $(#[doc = $says:literal])+
        $name:ident as $schema:literal, such as $example:literal {
            $( $(#[doc = $field_says:literal])+ $field:ident: $kind:ty, )*
        }
    ) => {
        impl $crate::schemas::Described for $name {
            fn schema(to: &mut $crate::schemas::Schemas) -> serde_json::Value {
                const _: fn(&$name) = |$name { $($field),* }| { $( let _: &$kind = $field; )* };
                to.named($schema, |to| {
                    let mut object = $crate::schemas::Object::new(concat!($($says),+), $example);
                    $(
                        let schema = <$kind as $crate::schemas::Described>::schema(to);
                        object.field(stringify!($field), schema, concat!($($field_says),+), true);
                    )*
                    object.into_schema()
                })
            }
        }
    };
}
pub(crate) use describe;

/// Describes an answer whose bytes another crate makes.
macro_rules! shape {
    (
        $(#[doc = $says:literal])+
        $name:ident as $schema:literal, such as $example:literal {
            $( $(#[doc = $field_says:literal])+ $field:ident: $kind:ty, )*
        }
    ) => {
        $(#[doc = $says])+
        pub(crate) enum $name {}

        impl $crate::schemas::Described for $name {
            fn schema(to: &mut $crate::schemas::Schemas) -> serde_json::Value {
                to.named($schema, |to| {
                    let mut object = $crate::schemas::Object::new(concat!($($says),+), $example);
                    $(
                        let schema = <$kind as $crate::schemas::Described>::schema(to);
                        object.field(stringify!($field), schema, concat!($($field_says),+), true);
                    )*
                    object.into_schema()
                })
            }
        }
    };
}
pub(crate) use shape;

/// Describes an enum by its variants as they are written. A variant that is not named here does
/// not compile.
macro_rules! describe_enum {
    ($name:ident: $($variant:ident),+) => {
        impl $crate::schemas::Described for $name {
            fn schema(_: &mut $crate::schemas::Schemas) -> serde_json::Value {
                const _: fn(&$name) = |value| match value { $($name::$variant => {})+ };
                serde_json::json!({ "type": "string", "enum": [$($name::$variant),+] })
            }
        }
    };
}
pub(crate) use describe_enum;

/// The schema of an object in the making.
pub(crate) struct Object {
    says: &'static str,
    example: &'static str,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
}

impl Object {
    pub(crate) fn new(says: &'static str, example: &'static str) -> Self {
        Self { says, example, properties: Map::new(), required: Vec::new() }
    }

    pub(crate) fn field(&mut self, name: &'static str, schema: Value, says: &str, required: bool) {
        self.properties.insert(name.to_owned(), saying(schema, says));
        if required {
            self.required.push(name);
        }
    }

    /// All of these fields, and perhaps more some day.
    pub(crate) fn into_schema(self) -> Value {
        let example: Value = serde_json::from_str(self.example).expect("an example is JSON");
        json!({
            "type": "object",
            "description": self.says.trim(),
            "properties": self.properties,
            "required": self.required,
            "examples": [example],
        })
    }
}

/// Types that need no name.
macro_rules! plain {
    ($($kind:ty: $schema:tt),+ $(,)?) => {
        $(impl Described for $kind {
            fn schema(_: &mut Schemas) -> Value {
                json!($schema)
            }
        })+
    };
}

plain! {
    bool: { "type": "boolean" },
    u32: { "type": "integer", "minimum": 0 },
    u64: { "type": "integer", "minimum": 0 },
    i64: { "type": "integer" },
    String: { "type": "string" },
    str: { "type": "string" },
    Currency: { "type": "string", "pattern": "^[A-Z]{3}$" },
}

impl<T: Described + ?Sized> Described for &T {
    fn schema(to: &mut Schemas) -> Value {
        T::schema(to)
    }
}

impl<T: Described> Described for Option<T> {
    fn schema(to: &mut Schemas) -> Value {
        let schema = T::schema(to);
        json!({ "anyOf": [schema, { "type": "null" }] })
    }
}

impl<T: Described> Described for Vec<T> {
    fn schema(to: &mut Schemas) -> Value {
        let items = T::schema(to);
        json!({ "type": "array", "items": items })
    }
}

macro_rules! ids {
    ($($kind:ident),+) => {
        $(impl Described for $kind {
            fn schema(to: &mut Schemas) -> Value {
                to.named("Id", |_| json!({
                    "type": "string",
                    "description": "The name of one thing, never used for another.",
                    "pattern": "^[A-Za-z0-9_.:-]{1,64}$",
                    "examples": ["evt_01JZ3"],
                }))
            }
        })+
    };
}

ids!(AccountId, BookingId, EventId, HoldId, PlaceId, QueueId, RefundId, SectionId, TicketId);

/// A moment, as answers write it.
#[derive(Serialize)]
pub(crate) struct Time(String);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at.rfc3339())
    }
}

impl Described for Time {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "string", "format": "date-time" })
    }
}

describe! {
    /// An amount of money.
    Money as "Money", such as r#"{"minor": 4500, "currency": "EUR"}"# {
        /// The amount in the currency's minor unit, such as cents.
        minor: i64,
        /// The currency by its ISO 4217 code.
        currency: Currency,
    }
}

describe! {
    /// One thing bought or held: a place at a frozen price.
    BookingItem as "Item", such as
        r#"{"item": "main-A-1", "seat": "main-A-1", "section": "main", "label": "A-1",
            "offer": "standard", "price": {"minor": 4500, "currency": "EUR"}}"# {
        /// The place, unique in the event.
        item: PlaceId,
        /// The seat's id; null for general admission.
        seat: Option<PlaceId>,
        /// The section that it is in.
        section: SectionId,
        /// What a person reads on the ticket.
        label: String,
        /// The price type.
        offer: String,
        /// What it costs.
        price: Money,
    }
}

describe! {
    /// Money going back for a booking, in whole or in part.
    Refund as "Refund", such as
        r#"{"refund_id": "rfd_1", "amount": {"minor": 4500, "currency": "EUR"},
            "items": ["main-A-1"], "reason": "cancelled", "status": "done"}"# {
        /// The refund's id.
        refund_id: RefundId,
        /// How much goes back.
        amount: Money,
        /// The places that it is for.
        items: Vec<PlaceId>,
        /// Why it goes back.
        reason: String,
        /// Whether the money is back.
        status: RefundStatus,
    }
}

describe_enum!(RefundStatus: Pending, Done);
describe_enum!(QueueState: PreQueue, Open, Paused, Closed);
describe_enum!(TicketState: Valid, Used, Void);

impl Described for BookingStatus {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "string", "enum": Self::ALL.map(Self::as_str) })
    }
}
