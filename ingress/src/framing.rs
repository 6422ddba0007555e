//! Follows the framing of a connection's requests, so that no head comes in unjudged.
use crate::head::{self, BadHead, Framing};

/// The most bytes of what stands around chunks: their sizes with extensions, and the trailer.
const AROUND_CHUNKS_MAX: usize = 16_384;

/// Where in its requests a connection is.
pub(crate) struct Requests {
    bytes_max: usize,
    fields_max: usize,
    at: At,
    /// How much of the head that is coming in was searched for its end.
    searched: usize,
}

enum At {
    Head,
    /// So many bytes of a body are still to come.
    Body(u64),
    Chunks {
        next: Chunk,
        around: usize,
    },
}

/// What comes next in a body of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// The digits of a size, of which there were so many.
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data(u64),
    DataCr,
    DataLf,
    /// A line of the trailer, of which so many bytes have come.
    Trailer {
        bytes: usize,
    },
    TrailerLf {
        bytes: usize,
    },
}

/// What may be done with bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// So many belong to judged requests; what follows is the begin of a head.
    Sound(usize),
    /// So many do, and then comes a head that is refused.
    Refused(usize, BadHead),
    /// A body of chunks that cannot be read.
    BadChunk,
}

impl Requests {
    pub(crate) fn new(bytes_max: usize, fields_max: usize) -> Self {
        Self { bytes_max, fields_max, at: At::Head, searched: 0 }
    }

    /// Looks at bytes that begin where the sound ones ended.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Taken {
        let mut sound = 0;
        while sound < bytes.len() {
            let rest = &bytes[sound..];
            match &mut self.at {
                At::Head => match self.head(rest) {
                    Ok(Some(length)) => sound += length,
                    Ok(None) => return Taken::Sound(sound),
                    Err(why) => return Taken::Refused(sound, why),
                },
                At::Body(left) => {
                    let taken = usize::try_from(*left).map_or(rest.len(), |l| l.min(rest.len()));
                    *left -= taken as u64;
                    sound += taken;
                    if *left == 0 {
                        self.at = At::Head;
                    }
                }
                At::Chunks { next, around } => match chunks(next, around, rest) {
                    Ok((taken, is_over)) => {
                        sound += taken;
                        if is_over {
                            self.at = At::Head;
                        }
                    }
                    Err(()) => return Taken::BadChunk,
                },
            }
        }
        Taken::Sound(sound)
    }

    /// The length of the head that begins here, once it is there and sound.
    fn head(&mut self, rest: &[u8]) -> Result<Option<usize>, BadHead> {
        let end = head::end(rest, &mut self.searched)?;
        if end.unwrap_or(rest.len()) >= self.bytes_max {
            return Err(BadHead::TooLong);
        }
        let Some(length) = end else { return Ok(None) };
        self.at = match head::judge(&rest[..length], self.fields_max)? {
            Framing::Length(0) => At::Head,
            Framing::Length(length) => At::Body(length),
            Framing::Chunked => At::Chunks { next: Chunk::Size { value: 0, digits: 0 }, around: 0 },
        };
        self.searched = 0;
        Ok(Some(length))
    }
}

/// Goes over a body of chunks: how much of it is here, and whether it is over.
fn chunks(next: &mut Chunk, around: &mut usize, bytes: &[u8]) -> Result<(usize, bool), ()> {
    let mut taken = 0;
    while taken < bytes.len() {
        if let Chunk::Data(left) = *next {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - taken);
            taken += here;
            let left = left - here as u64;
            *next = if left == 0 { Chunk::DataCr } else { Chunk::Data(left) };
            continue;
        }
        *next = match after(*next, bytes[taken])? {
            Some(next) => next,
            None => return Ok((taken + 1, true)),
        };
        taken += 1;
        *around += 1;
        if matches!(next, Chunk::Data(_)) {
            *around = 0;
        } else if *around > AROUND_CHUNKS_MAX {
            return Err(());
        }
    }
    Ok((taken, false))
}

/// What comes after one byte that is not data; `None` where the body is over.
fn after(chunk: Chunk, byte: u8) -> Result<Option<Chunk>, ()> {
    Ok(Some(match (chunk, byte) {
        (Chunk::Size { value, digits }, digit) if digit.is_ascii_hexdigit() && digits < 15 => {
            let digit = char::from(digit).to_digit(16).unwrap_or(0);
            Chunk::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
        }
        (Chunk::Size { value, digits: 1.. }, b'\r') => Chunk::SizeEnd { value },
        (Chunk::Size { value, digits: 1.. }, b';') => Chunk::Extension { value },
        (Chunk::Extension { value }, b'\r') => Chunk::SizeEnd { value },
        (Chunk::Extension { value }, other) if other != b'\n' => Chunk::Extension { value },
        (Chunk::SizeEnd { value: 0 }, b'\n') => Chunk::Trailer { bytes: 0 },
        (Chunk::SizeEnd { value }, b'\n') => Chunk::Data(value),
        (Chunk::DataCr, b'\r') => Chunk::DataLf,
        (Chunk::DataLf, b'\n') => Chunk::Size { value: 0, digits: 0 },
        (Chunk::Trailer { bytes }, b'\r') => Chunk::TrailerLf { bytes },
        (Chunk::Trailer { bytes }, other) if other != b'\n' => Chunk::Trailer { bytes: bytes + 1 },
        (Chunk::TrailerLf { bytes: 0 }, b'\n') => return Ok(None),
        (Chunk::TrailerLf { .. }, b'\n') => Chunk::Trailer { bytes: 0 },
        (
            Chunk::Size { .. }
            | Chunk::Extension { .. }
            | Chunk::SizeEnd { .. }
            | Chunk::Data(_)
            | Chunk::DataCr
            | Chunk::DataLf
            | Chunk::Trailer { .. }
            | Chunk::TrailerLf { .. },
            _,
        ) => return Err(()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const LENGTH: &str = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nb";
    const CHUNKS: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
        3;x=y\r\na\nb\r\n0a\r\n0123456789\r\n0\r\nx: y\r\n\r\n";

    fn check(text: &str, expected: &Taken) {
        assert_eq!(Requests::new(200, 8).take(text.as_bytes()), *expected, "{text:?}");
        // Whatever the pieces in which it arrives, the verdict is the same.
        for piece in [1, 2, 3, 7] {
            let (mut requests, mut held, mut sound) = (Requests::new(200, 8), Vec::new(), 0);
            let mut verdict = Taken::Sound(0);
            for bytes in text.as_bytes().chunks(piece) {
                held.extend_from_slice(bytes);
                verdict = requests.take(&held);
                let (Taken::Sound(count) | Taken::Refused(count, _)) = verdict else { break };
                held.drain(..count);
                sound += count;
                if let Taken::Refused(_, why) = verdict {
                    verdict = Taken::Refused(sound, why);
                    break;
                }
            }
            if let Taken::Sound(_) = verdict {
                verdict = Taken::Sound(sound);
            }
            assert_eq!(verdict, *expected, "{text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn every_head_is_judged_also_behind_bodies() {
        let twice = "GET / HTTP/1.1\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n";
        for before in ["", GET, LENGTH, CHUNKS, &format!("{LENGTH}{CHUNKS}{GET}")] {
            check(before, &Taken::Sound(before.len()));
            check(&format!("{before}GET / HT"), &Taken::Sound(before.len()));
            for (head, why) in [
                ("GET / HTTP/1.1\nhost: a\n\n", BadHead::BareLineFeed),
                (twice, BadHead::LengthTwice),
                (&"x".repeat(300), BadHead::TooLong),
                ("nonsense\r\n\r\n", BadHead::Malformed),
            ] {
                check(&format!("{before}{head}"), &Taken::Refused(before.len(), why));
            }
        }
    }

    #[test]
    fn chunks_are_read_strictly() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["zz\r\n", "\r\n", "-1\r\n", "1\n", "1\r\nab", "1 \r\na", "0\r\n\n", "0\n"] {
            let text = format!("{head}{body}");
            assert_eq!(Requests::new(200, 8).take(text.as_bytes()), Taken::BadChunk, "{body:?}");
        }
        let text = format!("{head}ffffffffffffffff\r\n");
        assert_eq!(Requests::new(200, 8).take(text.as_bytes()), Taken::BadChunk);
    }
}
