//! Looks at the raw bytes of request heads for shapes that two servers might read differently.
//!
//! hyper takes a bare line feed for a line's end, equal repeated lengths, and a length beside a
//! transfer coding (RFC 9112 lets it). A front proxy may not agree where such a request ends, so
//! the connection is closed before any of it is acted on.
use std::io::BufRead;

/// A head that is not plain HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Suspicious {
    #[error("a line of the head ends in a bare line feed")]
    BareLineFeed,
    #[error("the head says the body's length more than once")]
    LengthTwice,
}

/// Follows the bytes of one connection while heads come in.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    /// The start of the line that the last read ended in, as much as matters.
    line: Vec<u8>,
    /// The line so far, in bytes.
    line_bytes: usize,
    last: u8,
    lines: u32,
    framings: u32,
    done: bool,
}

/// No header name that matters is longer.
const NAME_BYTES: usize = 18;

impl HeadScan {
    /// A request was answered: what followed its head was its body, and a new head begins.
    pub(crate) fn after_answer(&mut self) {
        if self.done {
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.line.clear();
        *self = Self { line: std::mem::take(&mut self.line), ..Self::default() };
    }

    /// Looks at what was just read. After a head with a body it looks no further: what follows is
    /// the body, and the next head is looked at once this request was answered.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), Suspicious> {
        let mut rest = bytes;
        while !self.done && !rest.is_empty() {
            let before = rest;
            let taken = rest.skip_until(b'\n').unwrap_or(0);
            let (piece, _) = before.split_at(taken);
            self.take(piece)?;
        }
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Suspicious> {
        let Some((last, text)) = piece.split_last() else { return Ok(()) };
        if *last != b'\n' {
            self.keep(piece);
            return Ok(());
        }
        let before = text.last().copied().unwrap_or(self.last);
        if before != b'\r' {
            return Err(Suspicious::BareLineFeed);
        }
        self.keep(text);
        self.end_line()
    }

    /// Keeps the start of a line for when its end comes with a later read.
    fn keep(&mut self, text: &[u8]) {
        let room = NAME_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(&text[..text.len().min(room)]);
        self.line_bytes += text.len();
        self.last = text.last().copied().unwrap_or(self.last);
    }

    fn end_line(&mut self) -> Result<(), Suspicious> {
        let is_empty = self.line_bytes <= 1;
        if is_empty && self.lines > 0 {
            let has_body = self.framings > 0;
            self.restart();
            // Without a body, what follows at once is a pipelined head.
            self.done = has_body;
            return Ok(());
        }
        if !is_empty {
            self.lines += 1;
        }
        if says_length(&self.line) {
            self.framings += 1;
            if self.framings > 1 {
                return Err(Suspicious::LengthTwice);
            }
        }
        self.line.clear();
        self.line_bytes = 0;
        self.last = 0;
        Ok(())
    }
}

fn says_length(line: &[u8]) -> bool {
    let is =
        |name: &[u8]| line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name);
    is(b"content-length:") || is(b"transfer-encoding:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Result<(), Suspicious>) {
        // Whatever the pieces in which a head arrives, the answer is the same.
        for piece in [1, 2, 3, 7, head.len().max(1)] {
            let mut scan = HeadScan::default();
            let found = head.as_bytes().chunks(piece).try_for_each(|bytes| scan.read(bytes));
            assert_eq!(found, expected, "{head:?} in pieces of {piece}");
        }
    }

    #[test]
    fn heads_that_read_two_ways_are_refused() {
        let bare = Err(Suspicious::BareLineFeed);
        let twice = Err(Suspicious::LengthTwice);
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(()));
        check("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(()));
        check("GET / HTTP/1.1\nHost: a\r\n\r\n", bare);
        check("GET / HTTP/1.1\r\nHost: a\n\r\n", bare);
        check("GET / HTTP/1.1\r\nHost: a\r\n\n", bare);
        check("\nGET / HTTP/1.1\r\n\r\n", bare);
        check("GET / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n", twice);
        check("GET / HTTP/1.1\r\nContent-Length: 1\r\nTRANSFER-ENCODING: chunked\r\n\r\n", twice);
        check("GET / HTTP/1.1\r\nX-Content-Length: 1\r\nContent-Length: 1\r\n\r\n", Ok(()));
    }

    #[test]
    fn bodies_are_not_looked_at_and_pipelined_heads_are() {
        check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nb", Ok(()));
        check("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n\r\n", Err(Suspicious::BareLineFeed));
    }

    #[test]
    fn each_head_is_counted_anew() {
        let mut scan = HeadScan::default();
        for _ in 0..2 {
            scan.after_answer();
            assert_eq!(scan.read(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na"), Ok(()));
        }
    }
}
