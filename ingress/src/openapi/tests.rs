//! The document against the route table and itself.
use super::*;
use crate::config::tests::roomy;

#[test]
fn every_route_is_documented_and_nothing_else() {
    let document = document(&roomy());
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
    let document = document(&roomy());
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

#[test]
fn every_example_of_a_request_is_read_by_its_own_form() {
    for route in &ROUTES {
        let Some(form) = route.request else { continue };
        assert_eq!(form.check_example(roomy().json_depth_max), Ok(()), "{}", route.id);
    }
}

#[test]
fn every_schema_and_field_says_what_it_is() {
    let document = document(&roomy());
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["examples"][0].is_object() || name == "Id", "{name} has no example");
        let says = |schema: &Value| schema["description"].as_str().unwrap_or_default().len();
        assert!(says(schema) > 5, "{name} says nothing");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(says(property) > 5, "{name}.{field} says nothing");
        }
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for parameter in methods
            .as_object()
            .unwrap()
            .values()
            .flat_map(|method| method["parameters"].as_array().unwrap())
        {
            assert!(parameter["description"].as_str().unwrap().len() > 5, "{path} {parameter}");
        }
    }
}

#[test]
fn bounds_are_those_of_the_configuration() {
    let config = Config { long_poll_seconds_max: 7, body_bytes_max: 4_321, ..roomy() };
    let document = document(&config);
    let wait = &document["paths"]["/api/bookings/{id}"]["get"]["parameters"];
    let wait = wait.as_array().unwrap().iter().find(|parameter| parameter["name"] == "wait");
    assert_eq!(wait.unwrap()["schema"]["maximum"], 7);
    let body = &document["paths"]["/api/tickets/book"]["post"]["requestBody"];
    assert!(body["description"].as_str().unwrap().contains("4321"), "{body}");
}
