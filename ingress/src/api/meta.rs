//! What machines want to know: the public keys and the OpenAPI document.
use crate::exchange::{Exchange, Outcome};
use crate::response::{self, PUBLIC_MINUTE};
use http::StatusCode;
use http::header::CACHE_CONTROL;

pub(crate) async fn jwks(exchange: Exchange) -> Outcome {
    exchange.no_query()?;
    let keys = exchange.app().keys.current().jwks();
    let mut answer = response::json(StatusCode::OK, &keys);
    answer.headers_mut().insert(CACHE_CONTROL, PUBLIC_MINUTE);
    Ok(answer)
}

pub(crate) async fn openapi(exchange: Exchange) -> Outcome {
    exchange.no_query()?;
    let body = exchange.app().openapi.clone();
    let mut answer = response::whole(StatusCode::OK, response::JSON, body);
    answer.headers_mut().insert(CACHE_CONTROL, PUBLIC_MINUTE);
    Ok(answer)
}
