//! Reads a request's body whole, within its bounds of size and time.
use crate::metrics::{self, Cut};
use crate::problem::{Code, Problem};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Reads a whole request body of at most `bytes_max` bytes within `timeout`.
pub(crate) async fn body(
    mut body: Incoming,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let mut reading = pin!(collect(&mut body, bytes_max));
    // hyper hands a body over once it was asked for, mostly at once: only whoever has to wait
    // longer than that needs a timer.
    let mut asked = false;
    let at_once = poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    if let Some(read) = at_once.await {
        return read;
    }
    match Box::pin(tokio::time::timeout(timeout, reading)).await {
        Ok(read) => read,
        Err(_) => {
            metrics::cut(Cut::SlowBody);
            Err(Problem::new(Code::Slow, "the body did not come in time").closing())
        }
    }
}

async fn collect(body: &mut Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(Code::Malformed, "the body is cut short or not framed as HTTP").closing()
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first.as_ref(), rest.as_ref()].concat().into())
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("the body has more than {bytes_max} bytes")).closing()
}
