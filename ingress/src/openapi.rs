//! The OpenAPI 3.1 document, made from the route table.
mod schemas;

use crate::problem::Code;
use crate::routes::{ROUTES, Route, Shape, Who};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The document that `/openapi.json` serves.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.name().to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Queue, hold, pay, enter. Fields are snake_case; requests may also be \
                written in camelCase. Errors are RFC 9457 problems.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "security": security(route.who),
        "parameters": parameters(route),
        "responses": responses(route),
    });
    if let Some(schema) = route.request {
        operation["requestBody"] = json!({
            "required": schema != "Nothing" && schema != "QueuePatch",
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    operation
}

fn security_schemes() -> Value {
    json!({
        "login": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
        "queue_token": { "type": "apiKey", "in": "header", "name": "Queue-Token" },
        "admission_pass": { "type": "apiKey", "in": "header", "name": "Admission-Pass" },
    })
}

/// Each item is one way in; `{}` is the way that needs nothing.
fn security(who: Who) -> Value {
    match who {
        Who::Anyone => json!([]),
        Who::MaybeLogin => json!([{}, { "login": [] }]),
        Who::Login | Who::Admin | Who::Gate => json!([{ "login": [] }]),
        Who::Token => json!([{ "queue_token": [] }]),
        Who::TokenAndLogin => json!([{ "queue_token": [], "login": [] }]),
        Who::TokenOrPass => json!([{ "queue_token": [] }, { "admission_pass": [] }]),
        Who::PassAndLogin => json!([{ "login": [] }, { "login": [], "admission_pass": [] }]),
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    if let Some((_, rest)) = route.path.split_once('{')
        && let Some((name, _)) = rest.split_once('}')
    {
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": reference("Id"),
        }));
    }
    for name in route.query {
        parameters.push(json!({
            "name": name, "in": "query", "required": *name == "event_id",
            "schema": schemas::parameter(name),
        }));
    }
    let header =
        |name, schema| json!({ "name": name, "in": "header", "required": false, "schema": schema });
    if route.keyed {
        let key = json!({ "type": "string", "minLength": 1, "maxLength": 257 });
        parameters.push(header("Idempotency-Key", key));
    }
    if route.tagged {
        parameters.push(header("If-None-Match", json!({ "type": "string" })));
    }
    parameters
}

fn responses(route: &Route) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    for (status, shape) in route.answers {
        responses.insert(status.to_string(), answer(*shape));
    }
    if route.tagged {
        responses.insert("304".to_owned(), json!({ "description": "as it was" }));
    }
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in refusals(route) {
        let names = by_status.entry(code.status().as_u16()).or_default();
        if !names.contains(&code.name()) {
            names.push(code.name());
        }
    }
    for (status, names) in by_status {
        responses.insert(
            status.to_string(),
            json!({
                "description": names.join(", "),
                "content": { "application/problem+json": { "schema": reference("Problem") } },
            }),
        );
    }
    responses.into()
}

fn answer(shape: Shape) -> Value {
    let content = |media: &str, schema: Value| {
        let media = json!({ media: { "schema": schema } });
        json!({ "description": "done", "content": media })
    };
    match shape {
        Shape::Json(schema) => content("application/json", reference(schema)),
        Shape::Empty => json!({ "description": "done" }),
        Shape::Events => content("text/event-stream", json!({ "type": "string" })),
        Shape::Svg => content("image/svg+xml", json!({ "type": "string" })),
        Shape::Png => content("image/png", json!({})),
    }
}

/// A route's own refusals and those that follow from what it takes.
fn refusals(route: &Route) -> Vec<Code> {
    let mut codes = vec![Code::Malformed, Code::Validation, Code::RateLimited, Code::Unavailable];
    if route.who != Who::Anyone {
        codes.push(Code::Unauthenticated);
    }
    if matches!(route.who, Who::Admin | Who::Gate) {
        codes.push(Code::Forbidden);
    }
    if route.request.is_some() {
        codes.extend([Code::Slow, Code::TooLarge, Code::MediaType]);
    }
    if route.keyed {
        codes.extend([Code::IdempotencyMismatch, Code::IdempotencyRunning]);
    }
    codes.extend(route.refusals);
    codes
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
mod tests;
