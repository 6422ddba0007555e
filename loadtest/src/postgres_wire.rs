//! What a client says to Postgres, cut into messages: for those who stand in between.
use std::collections::VecDeque;

/// What a client sends instead of its first message to ask for encryption, and to cancel.
const REQUEST_CODES: [u32; 3] = [80_877_103, 80_877_104, 80_877_102];

/// One message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// `Q` is a simple query, `P` a parse, `B` a bind; 0 stands for the untyped ones at the start.
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

/// Cuts one connection's bytes into messages.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: VecDeque<u8>,
    started: bool,
}

/// Reads the fields of a message from left to right.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Frame {
    /// The text of a simple query.
    pub(crate) fn query(&self) -> Option<&str> {
        let text = self.body.strip_suffix(b"\0").filter(|_| self.kind == b'Q')?;
        std::str::from_utf8(text).ok()
    }
}

impl Frames {
    /// Takes bytes in and returns the messages that are whole by now.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.bytes.extend(bytes);
        std::iter::from_fn(|| self.next()).collect()
    }

    fn next(&mut self) -> Option<Frame> {
        let typed = usize::from(self.started);
        let mut length = [0; 4];
        for (at, byte) in length.iter_mut().enumerate() {
            *byte = *self.bytes.get(typed + at)?;
        }
        let whole = typed + u32::from_be_bytes(length) as usize;
        if self.bytes.len() < whole {
            return None;
        }
        let frame: Vec<u8> = self.bytes.drain(..whole).collect();
        let kind = if self.started { frame[0] } else { 0 };
        let body = frame.get(typed + 4..).unwrap_or_default().to_vec();
        let code = body.first_chunk().map(|code| u32::from_be_bytes(*code));
        self.started |= !code.is_some_and(|code| REQUEST_CODES.contains(&code));
        Some(Frame { kind, body })
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (text, rest) = (&self.0[..end], &self.0[end + 1..]);
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(crate) fn short(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub(crate) fn integer(&mut self) -> Option<i32> {
        self.bytes(4)?.try_into().ok().map(i32::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A value with its length before it; the inner `None` is NULL.
    pub(crate) fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match usize::try_from(self.integer()?) {
            Ok(length) => Some(Some(self.bytes(length)?)),
            Err(_) => Some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    #[test]
    fn messages_are_found_wherever_the_bytes_are_cut() {
        let encryption = [&8_u32.to_be_bytes()[..], &80_877_103_u32.to_be_bytes()].concat();
        let start = [&10_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"u\0"].concat();
        let query = typed(b'Q', b"COMMIT\0");
        let said = [encryption, start, query, typed(b'S', b"")].concat();
        for cut in 0..said.len() {
            let mut frames = Frames::default();
            let mut got = frames.take(&said[..cut]);
            got.extend(frames.take(&said[cut..]));
            let kinds: Vec<u8> = got.iter().map(|frame| frame.kind).collect();
            assert_eq!(kinds, [0, 0, b'Q', b'S'], "cut at {cut}");
            assert_eq!(got[2].query(), Some("COMMIT"));
            assert_eq!(got[3].query(), None);
        }
    }

    #[test]
    fn fields_are_read_in_order_and_never_beyond_the_end() {
        let mut fields = Fields(b"name\0\x00\x07\xff\xff\xff\xff\x00\x00\x00\x02ab");
        assert_eq!(fields.text(), Some("name"));
        assert_eq!(fields.short(), Some(7));
        assert_eq!(fields.value(), Some(None), "NULL");
        assert_eq!(fields.value(), Some(Some(&b"ab"[..])));
        assert_eq!((fields.integer(), fields.text()), (None, None));
    }
}
