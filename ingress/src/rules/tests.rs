//! What rules take, and what they say of the rest.
use super::*;
use crate::json;

type Read = (String, u32, Vec<u32>);

static INNER: Form<u32> = Form {
    name: "Inner",
    says: "",
    example: "{}",
    fields: |fields| fields.required("n", whole(0..=3), ""),
};

static OUTER: Form<Read> = Form { name: "Outer", says: "", example: "{}", fields: rule };

fn rule(fields: &mut Fields<'_>) -> Option<Read> {
    let name = fields.required("name", text(1..=5), "");
    let count = fields.optional("count", whole(1..=9), "");
    let items = fields.optional("items", list(0..=2, &INNER), "");
    Some((name?, count.unwrap_or(7), items.unwrap_or_default()))
}

fn check(body: &str, expected: Result<Read, &[(&str, &str)]>) {
    let found = OUTER.read(json::read(body.as_bytes(), 8).unwrap());
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
    let number = |text: &str| digits(0..=30u32).read(Json::Text(text.into())).ok();
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
