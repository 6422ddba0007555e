//! The gateway over HTTP: requests with idempotency keys, and what each answer means.
use super::wire::{
    Charge, IDEMPOTENCY_KEY, KEY_REUSED, LIST_LIMIT_MAX, List, NewCharge, NewRefund, Problem,
    Refund,
};
use super::{
    ChargeAnswer, ChargeRecord, ChargeRequest, GatewayError, PaymentGateway, RefundAnswer,
    RefundRecord, RefundRequest,
};
use crate::Config;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ledger::{BookingId, Cursor, Page};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The largest answer that is read, in bytes: a full page of the log fits several times.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why an address is no gateway's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the gateway's address must be http://HOST[:PORT][/PATH]")]
pub struct InvalidAddress;

/// A gateway reached over HTTP; clones share its connections.
#[derive(Clone)]
pub struct HttpGateway {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    connections: Arc<Semaphore>,
    request_timeout: Duration,
}

impl HttpGateway {
    /// Connects at need: the gateway need not be there yet.
    pub fn new(address: &str, config: &Config) -> Result<Self, InvalidAddress> {
        let uri: Uri = address.parse().map_err(|_| InvalidAddress)?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() || uri.query().is_some() {
            return Err(InvalidAddress);
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector
            .set_connect_timeout(Some(Duration::from_millis(config.gateway_connect_timeout_ms)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(config.gateway_connections_max)
            .build(connector);
        Ok(Self {
            base: address.trim_end_matches('/').to_owned(),
            client,
            connections: Arc::new(Semaphore::new(config.gateway_connections_max)),
            request_timeout: Duration::from_millis(config.charge_timeout_ms),
        })
    }

    async fn post<T: serde::Serialize>(
        &self,
        doing: &'static str,
        path: &str,
        key: &str,
        body: &T,
    ) -> Result<Reply, GatewayError> {
        let body = serde_json::to_vec(body).map_err(|e| unreadable(doing, e))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .header(IDEMPOTENCY_KEY, key)
            .body(Full::new(body.into()));
        self.exchange(doing, request).await
    }

    async fn get(&self, doing: &'static str, path: &str) -> Result<Reply, GatewayError> {
        let request = Request::get(format!("{}{path}", self.base)).body(Full::default());
        self.exchange(doing, request).await
    }

    /// One request and its whole answer, on one of the bounded connections, in bounded time.
    async fn exchange(
        &self,
        doing: &'static str,
        request: Result<Request<Full<Bytes>>, http::Error>,
    ) -> Result<Reply, GatewayError> {
        let request = request.map_err(|e| GatewayError::no_answer(doing, e))?;
        let exchange = async {
            let _connection = self.connections.acquire().await;
            let response = self
                .client
                .request(request)
                .await
                .map_err(|e| GatewayError::no_answer(doing, e))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|source| GatewayError::NoAnswer { doing, source })?;
            Ok(Reply { doing, status, body: body.to_bytes() })
        };
        match tokio::time::timeout(self.request_timeout, exchange).await {
            Ok(reply) => reply,
            Err(elapsed) => Err(GatewayError::no_answer(doing, elapsed)),
        }
    }

    /// A list; a mark that the gateway does not know is an error, never an end.
    async fn list<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        route: &str,
        cursor: Cursor,
    ) -> Result<List<T>, GatewayError> {
        let limit = cursor.limit.clamp(1, LIST_LIMIT_MAX);
        let after = cursor.after.map(|id| format!("&starting_after={id}")).unwrap_or_default();
        let reply = self.get(doing, &format!("{route}?limit={limit}{after}")).await?;
        if reply.status == StatusCode::OK { reply.parse() } else { Err(reply.unexpected()) }
    }
}

#[async_trait]
impl PaymentGateway for HttpGateway {
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeAnswer, GatewayError> {
        let body = NewCharge {
            amount: request.amount.minor,
            currency: request.amount.currency,
            source: request.payment_token.expose().to_owned(),
        };
        let reply = self.post("charging", "/v1/charges", request.key.as_str(), &body).await?;
        match reply.status {
            StatusCode::OK => Ok(reply.charge()?.answer()),
            StatusCode::PAYMENT_REQUIRED => {
                Ok(ChargeAnswer::Declined { code: reply.parse::<Problem>()?.code })
            }
            StatusCode::UNPROCESSABLE_ENTITY if reply.code() == KEY_REUSED => {
                Ok(ChargeAnswer::KeyReused)
            }
            _ => Err(reply.unexpected()),
        }
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, GatewayError> {
        let body = NewRefund {
            charge: request.charge_id.clone(),
            booking_id: request.booking.clone(),
            amount: request.amount.minor,
            currency: request.amount.currency,
        };
        let reply = self.post("refunding", "/v1/refunds", request.key.as_str(), &body).await?;
        match reply.status {
            StatusCode::OK => Ok(RefundAnswer::Done),
            StatusCode::CONFLICT => {
                Ok(RefundAnswer::Refused { code: reply.parse::<Problem>()?.code })
            }
            _ => Err(reply.unexpected()),
        }
    }

    async fn find(&self, booking: &BookingId) -> Result<Option<ChargeRecord>, GatewayError> {
        let reply = self.get("looking up a charge", &format!("/v1/charges/{booking}")).await?;
        match reply.status {
            StatusCode::OK => Ok(Some(reply.charge()?)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(reply.unexpected()),
        }
    }

    async fn charges(&self, cursor: Cursor) -> Result<Page<ChargeRecord>, GatewayError> {
        let list: List<Charge> = self.list("listing charges", "/v1/charges", cursor).await?;
        let next = list.data.last().filter(|_| list.has_more).map(|charge| charge.id.clone());
        Ok(Page { items: list.data, next }.map(ChargeRecord::from))
    }

    async fn refunds(&self, cursor: Cursor) -> Result<Page<RefundRecord>, GatewayError> {
        let list: List<Refund> = self.list("listing refunds", "/v1/refunds", cursor).await?;
        let next = list.data.last().filter(|_| list.has_more).map(|refund| refund.id.clone());
        Ok(Page { items: list.data, next }.map(RefundRecord::from))
    }
}

/// A whole answer.
struct Reply {
    doing: &'static str,
    status: StatusCode,
    body: Bytes,
}

impl Reply {
    fn parse<T: DeserializeOwned>(&self) -> Result<T, GatewayError> {
        serde_json::from_slice(&self.body).map_err(|error| unreadable(self.doing, error))
    }

    /// A charge whose amount can be one: the ledger could not book another.
    fn charge(&self) -> Result<ChargeRecord, GatewayError> {
        let charge: Charge = self.parse()?;
        if charge.amount < 0 {
            let source = "a negative amount".into();
            return Err(GatewayError::Unreadable { doing: self.doing, source });
        }
        Ok(charge.into())
    }

    fn code(&self) -> String {
        let problem = serde_json::from_slice::<Problem>(&self.body);
        problem.map(|problem| problem.code).unwrap_or_default()
    }

    fn unexpected(&self) -> GatewayError {
        let (doing, status) = (self.doing, self.status.as_u16());
        GatewayError::Unexpected { doing, status, code: self.code() }
    }
}

fn unreadable(doing: &'static str, error: serde_json::Error) -> GatewayError {
    GatewayError::Unreadable { doing, source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_http() {
        let config = crate::conformance::config();
        let check = |address: &str, good: bool| {
            assert_eq!(HttpGateway::new(address, &config).is_ok(), good, "{address}");
        };
        check("http://127.0.0.1:9090", true);
        check("http://gateway.internal/base/", true);
        for bad in ["", "gateway", "https://gateway", "ftp://gateway", "http://", "http://g/?q=1"] {
            check(bad, false);
        }
    }
}
