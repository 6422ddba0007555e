//! A client's socket with its bounds: how long it may be idle, take for a head, or not read.
//!
//! hyper's own header timer makes and drops a timer a request; here one timer a connection is
//! moved only when it would fire too late.
use crate::activity::{Activity, is_answering};
use crate::framing::{Requests, Taken};
use crate::head::{self, BadHead};
use crate::metrics;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// The times a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub idle: Duration,
    pub head: Duration,
    pub write: Duration,
    /// How long a client is listened to after its last answer.
    pub linger: Duration,
}

/// Marks the request that is read in the place of one whose head is refused.
pub(crate) const REFUSED: &str = "tidegate-refused";

/// For how many bytes a client is listened to after its last answer.
const LINGER_BYTES: usize = 4 << 20;

pub(crate) struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    timeouts: Timeouts,
    phase: Phase,
    /// How many changes of activity `phase` takes into account.
    changes: u32,
    requests: Requests,
    /// The begin of a head whose end has not come: hyper sees heads only whole and judged.
    held: Vec<u8>,
    /// What hyper is to read before anything else.
    ready: Vec<u8>,
    /// A head was refused: nothing that follows it is read.
    refused: bool,
    reading: LazyTimer,
    writing: LazyTimer,
    ended: bool,
    lingered: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing of the next head has come.
    Idle,
    /// Some of it has.
    Head,
}

impl Socket {
    pub(crate) fn new(
        stream: TcpStream,
        activity: Arc<Activity>,
        timeouts: Timeouts,
        requests: Requests,
    ) -> Self {
        Self {
            stream,
            activity,
            timeouts,
            phase: Phase::Idle,
            changes: 0,
            requests,
            held: Vec::new(),
            ready: Vec::new(),
            refused: false,
            reading: LazyTimer::default(),
            writing: LazyTimer::default(),
            ended: false,
            lingered: 0,
        }
    }

    /// A client that is being answered may take its time; one that owes us a head may not.
    fn wait_for_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if is_answering(self.changes) {
            // hyper looks at the socket again only when it is woken: without this, nobody would
            // be there to see that the client stays idle after its answer.
            while self.reading.poll(cx, self.timeouts.idle).is_ready() {
                self.reading.disarm();
            }
            return Poll::Pending;
        }
        let allowed = match self.phase {
            // Whoever connects has something to say.
            Phase::Idle if self.changes == 0 => self.timeouts.head,
            Phase::Idle => self.timeouts.idle,
            Phase::Head => self.timeouts.head,
        };
        ready!(self.reading.poll(cx, allowed));
        if self.phase == Phase::Head {
            metrics::cut(metrics::Cut::SlowHead);
        }
        if self.held.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.refuse(BadHead::Slow);
        Poll::Ready(Ok(()))
    }

    /// Judges what has come behind `before`, and leaves in the buffer what hyper may read.
    fn judge(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let new = &buffer.filled()[before..];
        if new.is_empty() {
            self.ended = true;
            return Ok(());
        }
        if self.phase == Phase::Idle && !is_answering(self.changes) {
            self.phase = Phase::Head;
            self.reading.disarm();
        }
        let was_held = !self.held.is_empty();
        if was_held {
            self.held.extend_from_slice(new);
        }
        let bytes = if was_held { &self.held[..] } else { new };
        let (sound, refused) = match self.requests.take(bytes) {
            Taken::Sound(sound) => (sound, None),
            Taken::Refused(sound, why) => (sound, Some(why)),
            Taken::BadChunk => return Err(io::ErrorKind::InvalidData.into()),
        };
        if was_held {
            buffer.set_filled(before);
            self.ready.extend(self.held.drain(..sound));
        } else {
            self.held.extend_from_slice(&new[sound..]);
            buffer.set_filled(before + sound);
        }
        if let Some(why) = refused {
            metrics::cut(metrics::Cut::Suspicious);
            self.refuse(why);
        }
        Ok(())
    }

    /// Has hyper read a request in the place of the one whose head is refused, so that the refusal
    /// is answered in its turn.
    fn refuse(&mut self, why: BadHead) {
        self.refused = true;
        self.activity.refuse(why);
        self.activity.linger();
        let origin =
            head::field(&self.held, "origin").map(|origin| format!("origin: {origin}\r\n"));
        let instead = format!(
            "GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n{REFUSED}: 1\r\n{}\r\n",
            origin.unwrap_or_default()
        );
        self.ready.extend_from_slice(instead.as_bytes());
        self.held = Vec::new();
    }

    /// Hands over what is ready, as far as there is room; whether there was anything.
    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let count = self.ready.len().min(buffer.remaining());
        buffer.put_slice(&self.ready[..count]);
        self.ready.drain(..count);
        count > 0
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let changes = self.activity.changes();
        if changes != self.changes {
            self.changes = changes;
            // The next head may have come already, behind the request that was answered.
            self.phase = if self.held.is_empty() { Phase::Idle } else { Phase::Head };
            self.reading.disarm();
        }
        let before = buffer.filled().len();
        loop {
            if self.hand_over(buffer) {
                return Poll::Ready(Ok(()));
            }
            if self.refused {
                // Writing the answer ends the connection; nobody waits to read.
                return Poll::Pending;
            }
            match Pin::new(&mut self.stream).poll_read(cx, buffer) {
                Poll::Ready(Ok(())) => self.judge(buffer, before)?,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(self.wait_for_head(cx))?,
            }
            if self.ended || buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.wrote(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if !self.activity.lingers() {
            return Poll::Ready(Ok(()));
        }
        self.poll_linger(cx).map(Ok)
    }
}

impl Socket {
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            self.writing.disarm();
            return wrote;
        }
        ready!(self.writing.poll(cx, self.timeouts.write));
        metrics::cut(metrics::Cut::SlowRead);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads and forgets what the client still sends, so that it gets to read its answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0u8; 8_192];
        while !self.ended && self.lingered < LINGER_BYTES {
            if self.writing.poll(cx, self.timeouts.linger).is_ready() {
                break;
            }
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.lingered += buffer.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

/// A timer that is seldom touched: a deadline that moves later lets it fire early and go on.
#[derive(Default)]
struct LazyTimer {
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    fn disarm(&mut self) {
        self.deadline = None;
    }

    /// Ready once `allowed` has passed since the first poll after it was disarmed.
    fn poll(&mut self, cx: &mut Context<'_>, allowed: Duration) -> Poll<()> {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + allowed);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
