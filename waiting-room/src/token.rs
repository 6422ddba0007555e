//! The queue token: a place in line as a signature, not a row.
//!
//! `base64url(payload ‖ tag)`, where the tag is HMAC-SHA256 truncated to 128 bits (RFC 2104,
//! section 5). The payload names its key, its queue and its place; with a minted queue id and no
//! account it fits one block of SHA-256, so that verifying costs two compressions.
use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ledger::keys::{Keyring, Purpose, SigningError};
use ledger::{AccountId, ID_BYTES_MAX, QueueId, Timestamp};

/// The format, in the upper half of the first byte.
const VERSION: u8 = 1;
/// `number` is there, and is `entry`.
const NUMBER_IS_ENTRY: u8 = 1;
/// `number` is there, and follows.
const NUMBER_FOLLOWS: u8 = 2;
/// The account follows.
const ACCOUNT_FOLLOWS: u8 = 4;
const TAG_BYTES: usize = 16;
/// Milliseconds in 48 bits last until the year 10889.
const TIME_BYTES: usize = 6;
/// Flags, three ids with their lengths, entry, number, time, tag.
const BYTES_MAX: usize = 1 + 3 * (1 + ID_BYTES_MAX) + 8 + 8 + TIME_BYTES + TAG_BYTES;
const TEXT_MAX: usize = BYTES_MAX.div_ceil(3) * 4;
/// How far another node's clock may be ahead of ours.
const AHEAD_MILLIS_MAX: i64 = 5_000;

/// A place in line. Whoever shows it has it; the first claim binds it to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueToken {
    pub queue: QueueId,
    /// The order of arrival, given once.
    pub entry: u64,
    /// The place in line; `None` until drawn where a draw comes later.
    pub number: Option<u64>,
    /// The account that joined, when it joined with a login.
    pub account: Option<AccountId>,
    pub issued_at: Timestamp,
}

impl QueueToken {
    /// The signed text.
    pub(crate) fn sign(&self, keys: &Keyring, now: Timestamp) -> Result<String, SigningError> {
        let keys = keys.current();
        let missing = SigningError::NoKey(Purpose::QueueToken);
        let key = keys.signing(Purpose::QueueToken, now).ok_or(missing)?;
        let mut out = Buffer { bytes: [0; BYTES_MAX], len: 0 };
        self.write(&key.kid, &mut out);
        let tag = hmac::sign(key.hmac(), out.written());
        out.put(&tag.as_ref()[..TAG_BYTES]);
        Ok(BASE64.encode(out.written()))
    }

    fn write(&self, kid: &str, out: &mut Buffer) {
        let mut flags = VERSION << 4;
        if self.number == Some(self.entry) {
            flags |= NUMBER_IS_ENTRY;
        } else if self.number.is_some() {
            flags |= NUMBER_FOLLOWS;
        }
        if self.account.is_some() {
            flags |= ACCOUNT_FOLLOWS;
        }
        out.put(&[flags]);
        out.put_id(kid);
        out.put_id(self.queue.as_str());
        out.put(&self.entry.to_be_bytes());
        if flags & NUMBER_FOLLOWS != 0 {
            out.put(&self.number.unwrap_or_default().to_be_bytes());
        }
        if let Some(account) = &self.account {
            out.put_id(account.as_str());
        }
        out.put(&self.issued_at.millis().to_be_bytes()[8 - TIME_BYTES..]);
    }

    /// Reads a signed text; `None` unless one of `keys` signed it for `queue`, and not in the
    /// future.
    pub(crate) fn read(
        keys: &Keyring,
        queue: &QueueId,
        text: &str,
        now: Timestamp,
    ) -> Option<Self> {
        // Decoding wants room for a whole last group.
        let mut buffer = [0u8; BYTES_MAX + 3];
        if text.len() > TEXT_MAX {
            return None;
        }
        let len = BASE64.decode_slice(text, &mut buffer).ok()?;
        let (payload, tag) = buffer[..len].split_at_checked(len.checked_sub(TAG_BYTES)?)?;
        let mut fields = Fields(payload);
        let flags = fields.take(1)?[0];
        let kid = fields.take_id()?;
        let keys = keys.current();
        let key = keys.verifying(Purpose::QueueToken, std::str::from_utf8(kid).ok()?)?;
        let expected = hmac::sign(key.hmac(), payload);
        constant_time::verify_slices_are_equal(&expected.as_ref()[..TAG_BYTES], tag).ok()?;
        let token = Self::parse(flags, queue, fields)?;
        (token.issued_at <= now.plus_millis(AHEAD_MILLIS_MAX)).then_some(token)
    }

    /// The fields of an authentic payload after its key's id.
    fn parse(flags: u8, queue: &QueueId, mut fields: Fields<'_>) -> Option<Self> {
        let known = NUMBER_IS_ENTRY | NUMBER_FOLLOWS | ACCOUNT_FOLLOWS;
        if flags >> 4 != VERSION || flags & 0xf & !known != 0 {
            return None;
        }
        if fields.take_id()? != queue.as_str().as_bytes() {
            return None;
        }
        let entry = fields.take_u64()?;
        let number = match flags & (NUMBER_IS_ENTRY | NUMBER_FOLLOWS) {
            0 => None,
            NUMBER_IS_ENTRY => Some(entry),
            NUMBER_FOLLOWS => Some(fields.take_u64()?),
            _both => return None,
        };
        let account = if flags & ACCOUNT_FOLLOWS == 0 {
            None
        } else {
            let text = std::str::from_utf8(fields.take_id()?).ok()?;
            Some(AccountId::parse(text).ok()?)
        };
        let mut millis = [0u8; 8];
        millis[8 - TIME_BYTES..].copy_from_slice(fields.take(TIME_BYTES)?);
        let issued_at = Timestamp::from_millis(i64::from_be_bytes(millis));
        let whole = fields.0.is_empty();
        whole.then(|| Self { queue: queue.clone(), entry, number, account, issued_at })
    }
}

/// A payload being written, on the stack.
struct Buffer {
    bytes: [u8; BYTES_MAX],
    len: usize,
}

impl Buffer {
    fn put(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    /// Ids have at most 64 bytes, so the length fits one.
    fn put_id(&mut self, id: &str) {
        self.put(&[id.len() as u8]);
        self.put(id.as_bytes());
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A payload being read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn take_id(&mut self) -> Option<&'a [u8]> {
        let len = self.take(1)?[0];
        self.take(usize::from(len))
    }

    fn take_u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(u64::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests;
