//! The public status of a queue: what it tells everyone, the same bytes for all, served from memory.
use crate::pressure::Pressure;
use crate::store::QueueSnapshot;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use ledger::{Money, QueueId, QueueState, Timestamp};
use serde::Serialize;

/// A status that did not change is made again after so long, so that `as_of` is never older.
const OLD_MILLIS: i64 = 700;

/// The public resource of a queue, the same bytes for everyone.
#[derive(Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// The JSON body.
    pub body: Bytes,
    /// A strong entity tag, quotes included.
    pub etag: Bytes,
    pub now_serving: u64,
    pub state: QueueState,
}

/// What a status says, but for when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) state: QueueState,
    pub(crate) opens_at: Timestamp,
    pub(crate) now_serving: u64,
    pub(crate) joined: u64,
    pub(crate) rate_per_minute: u32,
    pub(crate) pressure: Option<Pressure>,
}

impl Notice {
    pub(crate) fn new(
        snapshot: &QueueSnapshot,
        opens_at: Timestamp,
        pressure: Option<Pressure>,
    ) -> Self {
        Self {
            state: snapshot.settings.state,
            opens_at,
            now_serving: snapshot.now_serving,
            joined: snapshot.joined,
            rate_per_minute: snapshot.settings.rate_per_minute,
            pressure,
        }
    }

    /// Whether a status of `then` that says the same is too old now.
    pub(crate) fn is_old(then: Timestamp, now: Timestamp) -> bool {
        now.millis_since(then) >= OLD_MILLIS
    }

    pub(crate) fn status(
        &self,
        queue: &QueueId,
        poll: &[(Option<u64>, u64)],
        message: &str,
        as_of: Timestamp,
    ) -> QueueStatus {
        let json = Json {
            queue_id: queue,
            state: self.state,
            order: "arrival",
            opens_at: self.opens_at.rfc3339(),
            as_of: as_of.rfc3339(),
            now_serving: self.now_serving,
            joined: self.joined,
            rate_per_minute: self.rate_per_minute,
            seats_available: self.pressure.map(|pressure| pressure.seats_available),
            price_from: self.pressure.and_then(|pressure| pressure.price_from),
            poll,
            message: (!message.is_empty()).then_some(message),
        };
        let body = serde_json::to_vec(&json).expect("strings and numbers are always JSON");
        let hash = digest(&SHA256, &body);
        let etag = format!("\"{}\"", BASE64.encode(&hash.as_ref()[..12]));
        QueueStatus {
            body: body.into(),
            etag: etag.into(),
            now_serving: self.now_serving,
            state: self.state,
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    queue_id: &'a QueueId,
    state: QueueState,
    order: &'static str,
    opens_at: String,
    as_of: String,
    now_serving: u64,
    joined: u64,
    rate_per_minute: u32,
    seats_available: Option<u64>,
    price_from: Option<Money>,
    poll: &'a [(Option<u64>, u64)],
    message: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_the_contract_and_its_tag_follows_its_bytes() {
        let notice = Notice {
            state: QueueState::Open,
            opens_at: Timestamp::from_millis(0),
            now_serving: 3,
            joined: 9,
            rate_per_minute: 60,
            pressure: Some(Pressure {
                seats_available: 12,
                price_from: Some(ledger::DEFAULT_PRICE),
                ..Pressure::default()
            }),
        };
        let queue = QueueId::parse("q").unwrap();
        let poll = [(Some(50), 2_000), (None, 60_000)];
        let at = |millis| notice.status(&queue, &poll, "", Timestamp::from_millis(millis));
        let status = at(1);
        assert_eq!(
            std::str::from_utf8(&status.body).unwrap(),
            "{\"queue_id\":\"q\",\"state\":\"open\",\"order\":\"arrival\",\
             \"opens_at\":\"1970-01-01T00:00:00.000Z\",\"as_of\":\"1970-01-01T00:00:00.001Z\",\
             \"now_serving\":3,\"joined\":9,\"rate_per_minute\":60,\"seats_available\":12,\
             \"price_from\":{\"minor\":4500,\"currency\":\"EUR\"},\
             \"poll\":[[50,2000],[null,60000]],\"message\":null}"
        );
        assert_eq!(at(1), status);
        assert_ne!(at(2).etag, status.etag);
        assert!(status.etag.starts_with(b"\"") && status.etag.ends_with(b"\""));
    }
}
