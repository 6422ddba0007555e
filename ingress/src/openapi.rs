//! The OpenAPI 3.1 document, made from the route table.
use crate::config::Config;
use crate::fields::ERRORS_MAX;
use crate::problem::Code;
use crate::routes::{ROUTES, Route, Shape, Who};
use crate::schemas::{Described, Schemas, saying};
use ledger::QueueId;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The document that `/openapi.json` serves, with the bounds of this configuration.
pub fn document(config: &Config) -> Value {
    let mut schemas = Schemas::default();
    let mut paths: Map<String, Value> = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.verb.name().to_lowercase()] = operation(route, config, &mut schemas);
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
            "schemas": schemas.into_value(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn operation(route: &Route, config: &Config, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "security": security(route.who),
        "parameters": parameters(route, config, schemas),
        "responses": responses(route, config, schemas),
    });
    if let Some(form) = route.request {
        let schema = form.reference(schemas);
        operation["requestBody"] = json!({
            "required": is_required(&schema, schemas),
            "description": format!("At most {} bytes.", config.body_bytes_max),
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

/// Whether a body of this form says anything that cannot be left out.
fn is_required(reference: &Value, schemas: &Schemas) -> bool {
    let name = reference["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let required = name
        .and_then(|name| schemas.get(name))
        .and_then(|schema| schema["required"].as_array().map(|required| !required.is_empty()));
    required.unwrap_or(true)
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

fn parameters(route: &Route, config: &Config, schemas: &mut Schemas) -> Vec<Value> {
    let mut parameters = Vec::new();
    if let Some((_, rest)) = route.path.split_once('{')
        && let Some((name, _)) = rest.split_once('}')
    {
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": QueueId::schema(schemas),
            "description": "The id of what the path names.",
        }));
    }
    let query = route.query.map(|query| query(config, schemas)).unwrap_or_default();
    for (name, schema) in query["properties"].as_object().into_iter().flatten() {
        let required = query["required"].as_array().into_iter().flatten().any(|one| one == name);
        parameters.push(json!({
            "name": name, "in": "query", "required": required, "schema": schema,
            "description": schema["description"],
        }));
    }
    let header = |name, schema, says| {
        json!({
            "name": name, "in": "header", "required": false, "schema": schema,
            "description": says,
        })
    };
    if route.keyed {
        let key = json!({ "type": "string", "minLength": 1, "maxLength": 257 });
        let says = "A name for this request: sent again, it has one effect and the same answer.";
        parameters.push(header("Idempotency-Key", key, says));
    }
    if route.tagged {
        let says = "The `ETag` of an earlier answer: 304 if it is still that.";
        parameters.push(header("If-None-Match", json!({ "type": "string" }), says));
    }
    parameters
}

fn responses(route: &Route, config: &Config, schemas: &mut Schemas) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    for (status, shape) in route.answers {
        responses.insert(status.to_string(), answer(*shape, schemas));
    }
    if route.tagged {
        let known = "Still as the tag says that the client sent.";
        responses.insert("304".to_owned(), json!({ "description": known }));
    }
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in refusals(route) {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    for (status, codes) in by_status {
        let mut says: Vec<String> =
            codes.iter().map(|code| format!("`{}`: {}.", code.name(), code.title())).collect();
        if codes.contains(&Code::TooLarge) {
            says.push(format!("A body has at most {} bytes.", config.body_bytes_max));
        }
        responses.insert(
            status.to_string(),
            json!({
                "description": says.join(" "),
                "content": { "application/problem+json": {
                    "schema": ProblemShown::schema(schemas),
                } },
            }),
        );
    }
    responses.into()
}

fn answer(shape: Shape, schemas: &mut Schemas) -> Value {
    let content = |says, media: &str, schema: Value| {
        let media = json!({ media: { "schema": schema } });
        json!({ "description": says, "content": media })
    };
    let events = "A server-sent event each time it changes; its data is a Standing.";
    match shape {
        Shape::Json(schema) => content("Done.", "application/json", schema(schemas)),
        Shape::Empty => json!({ "description": "Done; there is nothing to say." }),
        Shape::Events => content(events, "text/event-stream", json!({ "type": "string" })),
        Shape::Svg => content("A drawing.", "image/svg+xml", json!({ "type": "string" })),
        Shape::Png => content("A picture.", "image/png", json!({})),
    }
}

/// A refusal, as every route makes it.
enum ProblemShown {}

impl Described for ProblemShown {
    fn schema(to: &mut Schemas) -> Value {
        to.named("Problem", |to| {
            let text = |says: &str| saying(json!({ "type": "string" }), says);
            let errors = to.named("FieldError", |_| {
                json!({
                    "type": "object",
                    "description": "One thing wrong with a request.",
                    "properties": {
                        "field": text("The path of the field; empty for the whole request."),
                        "message": text("What is wrong with it."),
                    },
                    "required": ["field", "message"],
                    "examples": [{ "field": "seats[0]", "message": "is not a seat of this event" }],
                })
            });
            let errors = json!({ "type": "array", "items": errors, "maxItems": ERRORS_MAX });
            json!({
                "type": "object",
                "description": "What went wrong (RFC 9457).",
                "properties": {
                    "type": text("The code as a URN."),
                    "title": text("What the code means."),
                    "status": saying(json!({ "type": "integer" }), "The status of the answer."),
                    "detail": text("What went wrong this time."),
                    "code": text("What went wrong, for programs; codes never change."),
                    "error": text("The same as `detail`, for older clients."),
                    "errors": saying(errors, "Each field that is wrong."),
                    "join": text("Where to join the queue that has to be joined first."),
                    "booking_id": saying(QueueId::schema(to), "The booking whose outcome it is."),
                    "status_url": text("Where that outcome will be."),
                },
                "required": ["type", "title", "status", "detail", "code", "error"],
                "examples": [{
                    "type": "urn:tidegate:problem:seat_taken", "title": "The seat is taken",
                    "status": 409, "detail": "Seat already locked!", "code": "seat_taken",
                    "error": "Seat already locked!",
                }],
            })
        })
    }
}

/// A route's own refusals and those that follow from what it takes.
fn refusals(route: &Route) -> Vec<Code> {
    let mut codes = vec![
        Code::Malformed,
        Code::Slow,
        Code::Validation,
        Code::RateLimited,
        Code::HeadTooLarge,
        Code::Unavailable,
    ];
    if route.who != Who::Anyone {
        codes.push(Code::Unauthenticated);
    }
    if matches!(route.who, Who::Admin | Who::Gate) {
        codes.push(Code::Forbidden);
    }
    if route.request.is_some() {
        codes.extend([Code::TooLarge, Code::MediaType]);
    }
    if route.keyed {
        codes.extend([Code::IdempotencyMismatch, Code::IdempotencyRunning]);
    }
    if route.cookies {
        codes.push(Code::CrossSite);
    }
    codes.extend(route.refusals);
    codes
}

#[cfg(test)]
mod tests;
