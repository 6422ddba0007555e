//! What machines want to know: the public keys and the OpenAPI document.
use crate::exchange::{Exchange, Outcome};
use crate::response::{self, PUBLIC_MINUTE};
use crate::schemas::{Described, Schemas, shape};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

shape! {
    /// The public keys that passes and tickets are checked with, as a JWK set.
    KeysShown as "Jwks", such as
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"# {
        /// The keys, the one in use and those before it.
        keys: Vec<KeyShown>,
    }
}

/// A key of a set, as RFC 8037 writes it.
pub(crate) enum KeyShown {}

impl Described for KeyShown {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "object", "additionalProperties": true })
    }
}

/// This document.
pub(crate) enum DocumentShown {}

impl Described for DocumentShown {
    fn schema(to: &mut Schemas) -> Value {
        to.named("OpenApi", |_| {
            json!({
                "type": "object",
                "description": "An OpenAPI 3.1 document.",
                "required": ["openapi", "paths"],
                "examples": [{ "openapi": "3.1.0", "paths": {} }],
            })
        })
    }
}

pub(crate) async fn jwks(exchange: Exchange) -> Outcome {
    let keys = exchange.app().keys.current().jwks();
    let mut answer = response::json(StatusCode::OK, &keys);
    answer.headers_mut().insert(CACHE_CONTROL, PUBLIC_MINUTE);
    Ok(answer)
}

pub(crate) async fn openapi(exchange: Exchange) -> Outcome {
    let body = exchange.app().openapi.clone();
    let mut answer = response::whole(StatusCode::OK, response::JSON, body);
    answer.headers_mut().insert(CACHE_CONTROL, PUBLIC_MINUTE);
    Ok(answer)
}
