//! The document against the route table and itself.
use super::*;

#[test]
fn every_route_is_documented_and_nothing_else() {
    let document = document();
    let mut documented = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            documented.push(format!("{} {path} {id}", method.to_uppercase()));
        }
    }
    let mut served: Vec<_> = ROUTES
        .iter()
        .map(|route| format!("{} {} {}", route.verb.name(), route.path, route.id))
        .collect();
    documented.sort();
    served.sort();
    assert_eq!(documented, served);
}

#[test]
fn operations_are_complete() {
    for route in &ROUTES {
        let same = ROUTES.iter().filter(|other| other.id == route.id);
        assert_eq!(same.count(), 1, "{} is used twice", route.id);
        assert!(!route.summary.is_empty(), "{} says nothing", route.id);
        assert!(!route.answers.is_empty(), "{} answers nothing", route.id);
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let own = format!("#/components/schemas/{name}");
        assert!(references.contains(&own), "{name} is used nowhere");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(reference) if name == "$ref" => references.push(reference.to_owned()),
                    _ => collect(field, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
