//! Server-sent events: where one stands, each time that changes.
use crate::api::queue;
use crate::app::App;
use crate::body::Body;
use crate::exchange::{Exchange, Outcome};
use crate::metrics::{self, Counted};
use crate::problem::Problem;
use crate::response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;
use waiting_room::{QueueToken, Standing};

/// Kept quiet by proxies only if they are asked to.
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(crate) async fn stream(exchange: Exchange) -> Outcome {
    let token = queue::token(&exchange)?;
    let app = exchange.app();
    let Ok(permit) = app.streams.clone().try_acquire_owned() else {
        metrics::stream_refused();
        return Err(Problem::busy("too many streams are open").retry_after(5));
    };
    let changes = app.room.changes(&token.queue).await?;
    let changes = changes.ok_or_else(|| Problem::not_found("there is no such queue"))?;
    // The first look is before the answer: an error is still an answer then.
    let first = app.room.standing(&token).await?;
    if queue::is_over(first.state) {
        // The one answer that keeps a browser from opening the stream again.
        return Ok(response::empty(StatusCode::NO_CONTENT));
    }
    let open = Open {
        app: exchange.app.clone(),
        token,
        changes,
        first: Some(first),
        sent: None,
        looked: Instant::now(),
        is_over: false,
        _permit: permit,
        _counted: Counted::stream(),
    };
    let events = stream::unfold(open, |mut open| async move {
        let event = open.next().await?;
        Some((event, open))
    });
    let mut answer = Response::new(Body::Stream(Box::pin(events)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL, HeaderValue::from_static("no"));
    Ok(answer)
}

/// An open stream.
struct Open {
    app: Arc<App>,
    token: QueueToken,
    changes: watch::Receiver<u64>,
    first: Option<Standing>,
    /// What the client was sent last.
    sent: Option<Standing>,
    looked: Instant,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Open {
    /// The next event or heartbeat; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        if let Some(first) = self.first.take() {
            let retry = retry_ms(self.app.config.stream_retry_ms, self.app.ids.random());
            return Some(Bytes::from(format!("retry: {retry}\n\n{}", self.event(first))));
        }
        let config = &self.app.config;
        let heartbeat = Duration::from_millis(config.stream_heartbeat_ms);
        let interval = Duration::from_millis(config.stream_interval_ms);
        let heartbeat_at = Instant::now() + heartbeat;
        loop {
            let state_ends_at = self.sent.as_ref().and_then(ends_in).map(|left| self.looked + left);
            let wake = state_ends_at.map_or(heartbeat_at, |at| at.min(heartbeat_at));
            let drained = self.app.draining.clone();
            tokio::select! {
                () = drained.cancelled() => return None,
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep_until(wake) => {}
            }
            // However fast the queue changes, one stream looks only so often.
            tokio::time::sleep_until((self.looked + interval).min(heartbeat_at)).await;
            self.looked = Instant::now();
            self.changes.mark_unchanged();
            match self.app.room.standing(&self.token).await {
                Ok(standing) if self.is_news(&standing) => {
                    return Some(self.event(standing).into());
                }
                Ok(standing) => self.sent = Some(standing),
                Err(error) => {
                    // The copy is being recovered, perhaps: the client hears of it when it is.
                    tracing::debug!(%error, "a stream cannot look");
                }
            }
            if Instant::now() >= heartbeat_at {
                return Some(Bytes::from_static(b": still here\n\n"));
            }
        }
    }

    fn is_news(&self, standing: &Standing) -> bool {
        self.sent.as_ref().is_none_or(|sent| still(sent) != still(standing))
    }

    fn event(&mut self, standing: Standing) -> String {
        self.is_over = queue::is_over(standing.state);
        let data = serde_json::to_string(&standing).unwrap_or_default();
        self.sent = Some(standing);
        format!("event: status\ndata: {data}\n\n")
    }
}

/// Between the least time and twice that, so that streams that end together do not all come back
/// together.
fn retry_ms(least: u64, random: u64) -> u64 {
    least + random % (least + 1)
}

/// A standing without what merely runs down with time.
fn still(standing: &Standing) -> Standing {
    Standing {
        ready_expires_in: None,
        return_expires_in: None,
        session_expires_in: None,
        ..standing.clone()
    }
}

/// When the state will change by itself.
fn ends_in(standing: &Standing) -> Option<Duration> {
    let left = [standing.ready_expires_in, standing.return_expires_in, standing.session_expires_in];
    let soonest = left.into_iter().flatten().min()?;
    // Deadlines are rounded up to a second, so at this one it is over.
    Some(Duration::from_secs(u64::try_from(soonest).unwrap_or(0).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::IdSource;

    #[test]
    fn streams_come_back_spread_out() {
        let ids = IdSource::seeded(1);
        let mut times: Vec<u64> = (0..1_000).map(|_| retry_ms(3_000, ids.random())).collect();
        times.sort_unstable();
        assert!(times[0] < 3_100 && times[999] > 5_900 && times[999] <= 6_000, "{times:?}");
        times.dedup();
        assert!(times.len() > 700, "{}", times.len());
    }
}
