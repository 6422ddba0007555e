//! HTTP/1.1 as a load generator needs it: keep-alive connections, few copies, no surprises.
mod pool;

pub(crate) use pool::{Answer, Lost, Pool, Request};

use anyhow::{Context, bail};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest answer that is read; an event's layout is the longest there is.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// One connection, and the buffer that its answers are read into.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, still in the connection's buffer.
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Why an exchange failed, and whether the server can have seen the request.
pub(crate) struct Broken {
    pub(crate) error: io::Error,
    /// True when at least one byte of an answer arrived.
    pub(crate) answered: bool,
}

/// What the head of an answer says about its body.
struct Shape {
    status: u16,
    body_at: usize,
    length: usize,
}

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 2 * 1024] })
    }

    /// False once the server has closed the connection, or said something nobody asked for.
    pub(crate) fn is_fresh(&self) -> bool {
        let mut probe = [0u8; 1];
        matches!(self.stream.try_read(&mut probe), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends `request` and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Reply<'_>, Broken> {
        let mut filled = 0;
        match self.read_answer(request, &mut filled).await {
            Ok(shape) => Ok(Reply {
                status: shape.status,
                head: &self.buffer[..shape.body_at],
                body: &self.buffer[shape.body_at..shape.body_at + shape.length],
            }),
            Err(error) => Err(Broken { error, answered: filled > 0 }),
        }
    }

    async fn read_answer(&mut self, request: &[u8], filled: &mut usize) -> io::Result<Shape> {
        self.stream.write_all(request).await?;
        let shape = loop {
            self.read_more(filled).await?;
            if let Some(end) = find(&self.buffer[..*filled], b"\r\n\r\n") {
                break shape(&self.buffer[..end + 4])?;
            }
        };
        let end = shape.body_at + shape.length;
        if end > ANSWER_BYTES_MAX {
            return Err(invalid("the answer is too long"));
        }
        if end > self.buffer.len() {
            self.buffer.resize(end, 0);
        }
        while *filled < end {
            self.read_more(filled).await?;
        }
        if *filled > end {
            return Err(invalid("more than one answer to one request"));
        }
        Ok(shape)
    }

    async fn read_more(&mut self, filled: &mut usize) -> io::Result<()> {
        if *filled == self.buffer.len() {
            self.buffer.resize((*filled * 2).min(ANSWER_BYTES_MAX), 0);
        }
        let read = self.stream.read(&mut self.buffer[*filled..]).await?;
        *filled += read;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// The host, with its port if it has one, of a `http://HOST:PORT` base.
pub(crate) fn parse_base(base: &str) -> anyhow::Result<&str> {
    let host = base.trim_end_matches('/').strip_prefix("http://");
    match host.filter(|host| !host.is_empty() && !host.contains('/')) {
        Some(host) => Ok(host),
        None => bail!("{base:?} is not http://HOST:PORT"),
    }
}

/// Where `base` is, and what to call it in the `Host` header.
pub(crate) async fn locate(base: &str) -> anyhow::Result<(SocketAddr, String)> {
    let host = parse_base(base)?;
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let with_port = if has_port { host.to_owned() } else { format!("{host}:80") };
    let mut found = tokio::net::lookup_host(&with_port).await.context("looking up the host")?;
    let address = found.next().with_context(|| format!("{host} has no address"))?;
    Ok((address, host.to_owned()))
}

/// The value of a header in a raw head, without the blanks around it.
pub(crate) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
        let (key, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        if !key.eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        std::str::from_utf8(value).ok().map(str::trim)
    })
}

/// Where `needle` begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn shape(head: &[u8]) -> io::Result<Shape> {
    let status = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let status: u16 = status.ok_or_else(|| invalid("not an HTTP/1.1 answer"))?;
    let bodiless = matches!(status, 204 | 304);
    let length = match header(head, "content-length") {
        Some(length) if !bodiless => length.parse().map_err(|_| invalid("content-length"))?,
        Some(_) => 0,
        None if bodiless => 0,
        // Tidegate knows the length of everything but its event stream, which nobody here reads.
        None => return Err(invalid("an answer without content-length")),
    };
    Ok(Shape { status, body_at: head.len(), length })
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
