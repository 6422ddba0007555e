//! Bodies: what comes in is read within bounds, what goes out is bytes or a stream of events.
use crate::pace::Turn;
use crate::problem::{Code, Problem};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// An answer's body. Nearly all are whole bytes, which need no box.
pub(crate) enum Body {
    Whole(Bytes),
    /// Events, one after another.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// The bytes, unless it is a stream.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Stream(_) => None,
        }
    }

    /// Whole bytes leave our hands at once; a stream is our turn until it ends.
    pub(crate) fn with_turn(self, turn: Turn) -> Self {
        match self {
            Self::Whole(bytes) => Self::Whole(bytes),
            Self::Stream(stream) => Self::Stream(Box::pin(OurTurn { stream, _turn: turn })),
        }
    }
}

/// A stream that keeps our turn for as long as it goes on.
struct OurTurn {
    stream: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    _turn: Turn,
}

impl Stream for OurTurn {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.stream.as_mut().poll_next(cx)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => {
                stream.as_mut().poll_next(cx).map(|item| item.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.whole().map_or_else(SizeHint::default, |b| SizeHint::with_exact(b.len() as u64))
    }
}

/// Reads a whole request body of at most `bytes_max` bytes within `timeout`.
pub(crate) async fn read(
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
        Err(_) => Err(Problem::new(Code::Slow, "the body did not come in time").closing()),
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
