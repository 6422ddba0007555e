//! The OpenAPI document against what is served, and what all answers have in common.
use crate::fixture::Fixture;
use crate::schema::{self, document};
use ledger::Role;
use serde_json::{Map, Value, json};

#[tokio::test]
async fn the_document_is_what_is_served() {
    let fixture = Fixture::open().await;
    let served = fixture.get("/openapi.json").await.expect(200);
    assert_eq!(served.json(), *document());
    let keys = fixture.get("/.well-known/jwks.json").await.expect(200).json();
    for key in keys["keys"].as_array().unwrap() {
        assert_eq!((&key["kty"], &key["alg"]), (&json!("OKP"), &json!("EdDSA")));
        assert!(key.get("d").is_none(), "no private half");
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_are_served() {
    let fixture = Fixture::open().await;
    for (path, methods) in document()["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "x").replace("{queue}", "x").replace("{hold_id}", "x");
        let mut expected: Vec<_> =
            methods.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if methods.get("get").is_some() {
            expected.push("HEAD".into());
        }
        expected.push("OPTIONS".into());
        expected.sort();
        for method in ["PUT", "TRACE"] {
            let refused = fixture.request(method, &path).send().await;
            assert_eq!(refused.refusal(), (405, "method".into()), "{method} {path}");
            assert_eq!(refused.header("allow"), Some(expected.join(", ").as_str()), "{path}");
        }
        let asked = fixture.request("OPTIONS", &path).send().await.expect(204);
        assert_eq!(asked.header("allow"), Some(expected.join(", ").as_str()), "{path}");
    }
    for path in ["/", "/api", "/api/events/", "/livez", "/metrics", "/api/events/x/y/z"] {
        assert_eq!(fixture.get(path).await.refusal(), (404, "not_found".into()), "{path}");
    }
}

/// Every property that a request's schema names is taken, and no other.
#[tokio::test]
async fn requests_take_what_the_document_says() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 1 })).await;
    let logins = [
        fixture.login(Role::User).await,
        fixture.login(Role::Admin).await,
        fixture.login(Role::Gate).await,
    ];
    let token = fixture.request("POST", &format!("/api/queue/{event}/join")).send().await.json();
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(reference) = schema["$ref"].as_str() else { continue };
            let schema = document().pointer(reference.trim_start_matches('#')).unwrap();
            let properties = schema["properties"].as_object().unwrap();
            let method = if method == "patch" { "PATCH" } else { "POST" };
            let path = path.replace("{id}", &event).replace("{queue}", &event);
            // A list is right for no property at all, so that nothing is ever made.
            let mut body: Map<String, Value> =
                properties.keys().map(|name| (name.clone(), json!([[]]))).collect();
            body.insert("surprise".into(), json!(1));
            let mut fields = Vec::new();
            for login in &logins {
                let request = fixture.request(method, &path).login(login);
                let request = request.header("queue-token", token["token"].as_str().unwrap());
                let answer = request.json(&Value::Object(body.clone())).send().await;
                if answer.status != 403 {
                    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
                    fields = errors
                        .iter()
                        .filter(|e| e["message"] == "is not a field of this request")
                        .map(|e| e["field"].as_str().unwrap().to_owned())
                        .collect();
                    break;
                }
            }
            assert_eq!(fields, ["surprise"], "{method} {path}");
        }
    }
}

#[tokio::test]
async fn all_answers_are_guarded() {
    let fixture = Fixture::open().await;
    for path in ["/api/events", "/api/queue/none", "/api/bookings", "/nowhere"] {
        let answer = fixture.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("server"), None, "{path}");
        assert!(answer.header("cache-control").is_some(), "{path}");
    }
    let head = crate::client::talk(
        fixture.address,
        b"HEAD /api/events HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
    );
    let head = crate::client::Response::read(&head.await).expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn examples_are_what_their_schemas_say() {
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().unwrap() {
            schema::expect(schema, example, &format!("the example of {name}"));
        }
    }
}

#[tokio::test]
async fn the_document_shows_the_bounds_that_are_in_force() {
    let fixture = Fixture::with(|config| config.long_poll_seconds_max = 7).await;
    let served = fixture.get("/openapi.json").await.expect(200).json();
    let wait = &served["paths"]["/api/bookings/{id}"]["get"]["parameters"][1];
    assert_eq!((&wait["name"], &wait["schema"]["maximum"]), (&json!("wait"), &json!(7)));
    let login = fixture.login(Role::User).await;
    let long = fixture.request("GET", "/api/bookings/x?wait=8").login(&login).send().await;
    assert_eq!(long.fields(), ["wait"]);
}
