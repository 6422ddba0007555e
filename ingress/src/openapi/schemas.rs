//! The schemas of everything that goes in and out.
use crate::passwords::PASSWORD_BYTES;
use ledger::{BookingStatus, LIMIT_MAX, PLACES_MAX};
use serde_json::{Value, json};

/// Every schema by its name. Requests refuse fields that are not here; answers may gain some.
pub(super) fn all() -> Value {
    let mut all = json!({});
    for part in [basics(), people(), events(), queues(), seats(), bookings(), tickets()] {
        let (Value::Object(all), Value::Object(part)) = (&mut all, part) else { continue };
        all.extend(part);
    }
    all
}

pub(super) fn parameter(name: &str) -> Value {
    match name {
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX }),
        "wait" => json!({ "type": "integer", "minimum": 0, "maximum": 30 }),
        "v" => json!({ "type": "integer", "minimum": 0 }),
        "event_id" => id(),
        _ => json!({ "type": "string", "minLength": 1, "maxLength": 200 }),
    }
}

fn to(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn id() -> Value {
    to("Id")
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn maybe(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn maybe_to(schema: &str) -> Value {
    json!({ "anyOf": [to(schema), { "type": "null" }] })
}

fn list_of(item: Value) -> Value {
    json!({ "type": "array", "items": item })
}

fn whole(least: i64, most: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

/// An answer: all of these, and perhaps more some day.
fn answer(properties: Value) -> Value {
    let required: Vec<String> =
        properties.as_object().map(|p| p.keys().cloned().collect()).unwrap_or_default();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// A request: these and no others.
fn request(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": false,
    })
}

fn page_of(schema: &str) -> Value {
    answer(json!({ "items": list_of(to(schema)), "next_cursor": maybe("string") }))
}

fn basics() -> Value {
    json!({
        "Id": { "type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$" },
        "Nothing": request(json!({}), &[]),
        "Money": answer(json!({ "minor": { "type": "integer" }, "currency": text() })),
        "NewMoney": request(
            json!({ "minor": whole(0, 1_000_000_000_000), "currency": {
                "type": "string", "pattern": "^[A-Z]{3}$" } }),
            &["minor", "currency"],
        ),
        "FieldError": answer(json!({ "field": text(), "message": text() })),
        "Problem": {
            "type": "object",
            "properties": {
                "type": text(), "title": text(), "status": { "type": "integer" },
                "detail": text(), "code": text(), "error": text(),
                "errors": list_of(to("FieldError")),
                "join": text(), "booking_id": id(), "status_url": text(),
            },
            "required": ["type", "title", "status", "detail", "code", "error"],
        },
        "Jwks": answer(json!({ "keys": list_of(json!({ "type": "object" })) })),
        "OpenApi": { "type": "object", "required": ["openapi", "paths"] },
    })
}

fn people() -> Value {
    let (least, most) = (PASSWORD_BYTES.start(), PASSWORD_BYTES.end());
    let username = json!({
        "type": "string", "pattern": "^[A-Za-z0-9_.@+-]{3,64}$",
        "description": "case does not count",
    });
    json!({
        "Registration": request(
            json!({
                "username": username,
                "password": { "type": "string", "minLength": least, "maxLength": most },
            }),
            &["username", "password"],
        ),
        "Credentials": request(
            json!({
                "username": username,
                "password": { "type": "string", "maxLength": most },
            }),
            &["username", "password"],
        ),
        "Registered": answer(json!({ "message": text(), "user_id": id() })),
        "LoggedIn": answer(json!({
            "token": text(), "token_type": { "const": "Bearer" }, "expires_in": count(),
        })),
    })
}

fn events() -> Value {
    let state = json!({ "enum": ["pre_queue", "open", "paused", "closed"] });
    let name = json!({ "type": "string", "minLength": 1, "maxLength": 200 });
    let row_name = json!({ "type": "string", "minLength": 1, "maxLength": 64 });
    let hour = whole(1, 3_600);
    json!({
        "Event": answer(json!({
            "id": id(), "name": text(), "date": text(), "timezone": text(), "venue": text(),
            "status": { "enum": ["upcoming", "on_sale", "sold_out", "closed"] },
            "currency": text(), "total_seats": count(), "available_seats": count(),
            "on_sale_at": time(), "queue_id": id(), "queue_state": state,
            "price_from": maybe_to("Money"), "price_to": maybe_to("Money"),
            "layout_version": count(), "hold_ttl_seconds": count(),
            "seats_per_account_max": count(),
        })),
        "Events": page_of("Event"),
        "NewEvent": request(
            json!({
                "name": name, "date": text(), "venue": name, "timezone": text(),
                "total_seats": whole(1, PLACES_MAX.into()), "sections": list_of(to("NewSection")),
                "on_sale_at": time(), "hold_ttl_seconds": hour,
                "payment_deadline_seconds": hour,
                "seats_per_account_max": whole(1, PLACES_MAX.into()),
                "queue_id": id(), "queue": to("QueuePatch"),
            }),
            &["name", "date", "venue"],
        ),
        "NewSection": request(
            json!({
                "id": id(), "name": name, "price": to("NewMoney"),
                "rows": list_of(to("NewRow")), "capacity": whole(1, PLACES_MAX.into()),
            }),
            &["id", "name"],
        ),
        "NewRow": request(
            json!({
                "name": row_name,
                "seats": { "anyOf": [whole(1, 2_000), list_of(maybe("string"))] },
            }),
            &["name", "seats"],
        ),
        "Layout": answer(json!({
            "event_id": id(), "layout_version": count(), "sections": list_of(to("Section")),
        })),
        "Section": {
            "type": "object",
            "properties": {
                "id": id(), "name": text(), "price": to("Money"), "capacity": count(),
                "rows": list_of(answer(json!({
                    "name": text(),
                    "seats": list_of(json!({ "anyOf": [
                        answer(json!({ "id": id(), "label": text() })), { "type": "null" },
                    ] })),
                }))),
            },
            "required": ["id", "name", "price"],
        },
        "Seats": answer(json!({
            "version": count(), "layout_version": count(),
            "sections": { "type": "object", "additionalProperties": {
                "anyOf": [{ "type": "string", "pattern": "^[.hpsx]*$" }, count()] } },
        })),
    })
}

fn queues() -> Value {
    let place_states = json!({ "enum": [
        "pre_queue", "waiting", "ready", "returning", "admitted", "missed", "done", "sold_out",
        "closed",
    ] });
    let eta = json!({ "anyOf": [
        answer(json!({ "min": count(), "max": count() })), { "type": "null" },
    ] });
    let mut standing = json!({
        "state": place_states, "entry": count(), "number": maybe("integer"),
        "ahead": maybe("integer"), "eta_seconds": eta, "paused": { "type": "boolean" },
        "ready_expires_in": maybe("integer"), "return_expires_in": maybe("integer"),
        "session_expires_in": maybe("integer"), "poll_after_ms": count(),
    });
    let only_standing = answer(standing.clone());
    standing["token"] = text();
    let state = json!({ "enum": ["pre_queue", "open", "paused", "closed"] });
    let hour = whole(1, 3_600);
    json!({
        "QueuePatch": request(
            json!({
                "state": state, "rate_per_minute": whole(1, 100_000_000),
                "capacity": whole(1, 100_000_000), "claim_window_seconds": hour,
                "return_seconds": whole(0, 86_400), "session_seconds": whole(1, 86_400),
            }),
            &[],
        ),
        "QueueSettings": answer(json!({
            "queue_id": id(), "state": state, "rate_per_minute": count(), "capacity": count(),
            "claim_window_seconds": count(), "return_seconds": count(),
            "session_seconds": count(), "opens_at": time(),
        })),
        "Board": answer(json!({
            "queue_id": id(), "state": state, "order": text(), "opens_at": time(),
            "as_of": time(), "now_serving": count(),
            "joined": count(), "rate_per_minute": count(), "seats_available": maybe("integer"),
            "price_from": maybe_to("Money"),
            "poll": list_of(list_of(maybe("integer"))), "message": maybe("string"),
        })),
        "Standing": only_standing,
        "Joined": answer(standing),
        "Pass": answer(json!({ "pass": text(), "expires_in": count() })),
    })
}

fn seats() -> Value {
    let seat = json!({ "anyOf": [
        whole(1, PLACES_MAX.into()),
        { "type": "string", "minLength": 1, "maxLength": 64 },
    ] });
    let hold = json!({
        "hold_id": id(), "event_id": id(), "seats": list_of(id()), "items": list_of(to("Item")),
        "total": to("Money"), "expires_at": time(), "expires_in": count(),
    });
    let mut locked = hold.clone();
    locked["message"] = text();
    json!({
        "Lock": request(
            json!({
                "event_id": id(), "user_id": id(), "seat_number": seat,
                "seats": { "type": "array", "items": seat, "minItems": 1, "maxItems": 1_000 },
                "best_available": request(
                    json!({ "quantity": whole(1, PLACES_MAX.into()), "section": id() }),
                    &["quantity"],
                ),
            }),
            &["event_id"],
        ),
        "Hold": answer(locked),
        "HeldSeats": answer(hold),
        "Holds": page_of("HeldSeats"),
        "Item": answer(json!({
            "item": id(), "seat": maybe_to("Id"), "section": id(), "label": text(),
            "offer": text(), "price": to("Money"),
        })),
    })
}

fn bookings() -> Value {
    let statuses = json!({ "enum": BookingStatus::ALL.map(BookingStatus::as_str) });
    json!({
        "Book": request(
            json!({
                "event_id": id(), "user_id": id(), "hold_id": id(),
                "seat_number": { "anyOf": [
                    whole(1, PLACES_MAX.into()),
                    { "type": "string", "minLength": 1, "maxLength": 64 },
                ] },
                "payment_token": { "type": "string", "minLength": 1, "maxLength": 255 },
            }),
            &["event_id"],
        ),
        "Accepted": answer(json!({
            "message": text(), "booking_id": id(), "status": statuses, "status_url": text(),
        })),
        "Booking": answer(json!({
            "id": id(), "event_id": id(), "hold_id": id(), "attempt": count(),
            "status": statuses, "failure_code": maybe("string"), "seats": list_of(id()),
            "items": list_of(to("Item")), "total": to("Money"),
            "tickets": list_of(answer(json!({
                "id": id(), "ticket_id": id(), "item": id(), "seat": maybe_to("Id"),
                "url": text(),
            }))),
            "refunds": list_of(answer(json!({
                "refund_id": id(), "amount": to("Money"), "items": list_of(id()),
                "reason": text(), "status": { "enum": ["pending", "done"] },
            }))),
            "hold": { "anyOf": [
                answer(json!({ "hold_id": id(), "expires_in": count() })), { "type": "null" },
            ] },
            "created_at": time(), "updated_at": time(),
        })),
        "Bookings": page_of("Booking"),
    })
}

fn tickets() -> Value {
    let states = json!({ "enum": ["valid", "used", "void"] });
    json!({
        "Ticket": answer(json!({
            "id": id(), "booking_id": id(), "event_id": id(), "item": id(),
            "seat": maybe_to("Id"), "label": text(), "issue": count(), "status": states,
            "used_at": maybe("string"), "ticket": maybe("string"), "svg_url": text(),
            "png_url": text(),
        })),
        "Verify": request(
            json!({ "ticket": { "type": "string", "minLength": 1, "maxLength": 2_000 } }),
            &["ticket"],
        ),
        "Scanned": answer(json!({
            "result": states, "ticket_id": id(), "event_id": id(), "seat": maybe_to("Id"),
            "label": maybe("string"), "used_at": maybe("string"),
        })),
    })
}
