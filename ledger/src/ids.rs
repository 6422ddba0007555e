//! Typed ids: opaque strings of at most 64 visible characters, minted once and carried for ever.
use crate::clock::Timestamp;
use crate::lock::lock;
use aws_lc_rs::digest::{SHA256, digest};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::sync::{Arc, Mutex};

/// The longest id that is ever accepted or made, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Why a string is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of the characters A-Z a-z 0-9 - _ . :")]
pub struct InvalidId;

/// True for what may be an id. Ids become parts of store keys and paths, so the alphabet is narrow.
pub fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a string from outside; anything that is not an id is refused.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if is_id(text) { Ok(Self(text.into())) } else { Err(InvalidId) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A person's account.
    AccountId
);
id!(
    /// A thing that seats are sold for.
    EventId
);
id!(
    /// A line of people; several events may share one.
    QueueId
);
id!(
    /// A section of an event's layout.
    SectionId
);
id!(
    /// A seat, or one place of a general-admission section: unique in its event, never parsed.
    PlaceId
);
id!(
    /// An exclusive, temporary claim on places.
    HoldId
);
id!(
    /// One attempt to buy what a hold holds.
    BookingId
);
id!(
    /// A proof of purchase for one place.
    TicketId
);
id!(
    /// Money going back.
    RefundId
);

impl HoldId {
    /// The hold that `key` names for this account and event in one generation of the seat store,
    /// so that a lock whose reply was lost finds its own hold again.
    pub fn of_key(account: &AccountId, event: &EventId, key: &str, generation: u64) -> Self {
        let parts = [account.as_str(), event.as_str(), key, &generation.to_string()];
        Self(derived(&format!("hld_{event}_"), &parts))
    }

    /// The event that the hold is of: a hold's id carries it, so that whoever has only the id
    /// finds the right seats.
    pub fn event(&self) -> Option<EventId> {
        let (event, _) = self.as_str().strip_prefix("hld_")?.rsplit_once('_')?;
        EventId::parse(event).ok()
    }
}

impl BookingId {
    /// The booking of a hold's `attempt` (from 1): one live booking a hold.
    pub fn of_attempt(hold: &HoldId, attempt: u32) -> Self {
        let stem = hold.as_str().strip_prefix("hld_").unwrap_or(hold.as_str());
        Self(format!("bkg_{stem}_{attempt}").into())
    }

    /// The hold that the booking was made of.
    pub fn hold(&self) -> Option<HoldId> {
        let (stem, _attempt) = self.as_str().strip_prefix("bkg_")?.rsplit_once('_')?;
        HoldId::parse(&format!("hld_{stem}")).ok()
    }
}

impl TicketId {
    /// The ticket for one place of a booking; a later issue replaces an earlier one.
    pub fn of(booking: &BookingId, place: &PlaceId, issue: u32) -> Self {
        Self(derived("tkt_", &[booking.as_str(), place.as_str(), &issue.to_string()]))
    }
}

impl RefundId {
    /// The refund numbered `ordinal` (from 1) of a booking.
    pub fn of(booking: &BookingId, ordinal: u32) -> Self {
        Self(derived("rfd_", &[booking.as_str(), &ordinal.to_string()]))
    }
}

impl From<&EventId> for QueueId {
    /// By default an event's queue has the event's own id.
    fn from(event: &EventId) -> Self {
        Self(event.0.clone())
    }
}

/// Where new ids come from: the system's randomness, or a seed for runs that must repeat.
#[derive(Clone)]
pub struct IdSource(Arc<Mutex<StdRng>>);

impl IdSource {
    pub fn system() -> Self {
        let mut seed = [0u8; 32];
        aws_lc_rs::rand::fill(&mut seed).expect("the operating system has randomness");
        Self(Arc::new(Mutex::new(StdRng::from_seed(seed))))
    }

    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// 80 random bits behind 48 bits of milliseconds, so that ids sort by when they were made.
    fn mint(&self, prefix: &str, now: Timestamp) -> Arc<str> {
        let mut random = [0u8; 10];
        lock(&self.0).fill_bytes(&mut random);
        let mut bytes = [0u8; 16];
        bytes[..6].copy_from_slice(&now.millis().to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        encode(prefix, u128::from_be_bytes(bytes))
    }

    pub fn account(&self, now: Timestamp) -> AccountId {
        AccountId(self.mint("acc_", now))
    }

    pub fn event(&self, now: Timestamp) -> EventId {
        EventId(self.mint("evt_", now))
    }

    pub fn hold(&self, event: &EventId, now: Timestamp) -> HoldId {
        HoldId(self.mint(&format!("hld_{event}_"), now))
    }

    /// A random number, for jitter and token ids.
    pub fn random(&self) -> u64 {
        lock(&self.0).next_u64()
    }
}

fn derived(prefix: &str, parts: &[&str]) -> Arc<str> {
    // The separator cannot occur in an id, so different parts never join to the same text.
    let hash = digest(&SHA256, parts.join("\u{1f}").as_bytes());
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    encode(prefix, u128::from_be_bytes(bytes))
}

/// Crockford's base 32 in lower case: 26 characters for 128 bits, no i, l, o or u.
fn encode(prefix: &str, value: u128) -> Arc<str> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut text = String::from(prefix);
    for shift in (0..26u32).rev().map(|place| place.saturating_mul(5)) {
        let digit = value.checked_shr(shift).unwrap_or(0) & 31;
        text.push(char::from(ALPHABET[digit as usize]));
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_could_escape_a_key_or_a_path() {
        for bad in ["", "a b", "a/b", "{q}", "é", "a\n", &"x".repeat(65)] {
            assert_eq!(EventId::parse(bad), Err(InvalidId), "{bad:?}");
        }
        assert!(EventId::parse("stalls-A-12").is_ok());
        assert!(EventId::parse(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn derived_ids_repeat_and_differ() {
        let (a, e) = (AccountId::parse("a").unwrap(), EventId::parse("e").unwrap());
        assert_eq!(HoldId::of_key(&a, &e, "k", 1), HoldId::of_key(&a, &e, "k", 1));
        assert_ne!(HoldId::of_key(&a, &e, "k", 1), HoldId::of_key(&a, &e, "k", 2));
        let hold = HoldId::of_key(&a, &e, "k", 1);
        assert_eq!(hold.event(), Some(e));
        assert_eq!(BookingId::of_attempt(&hold, 3).hold(), Some(hold));
    }

    #[test]
    fn minted_ids_sort_by_time_and_repeat_by_seed() {
        let ids = IdSource::seeded(7);
        let early = ids.event(Timestamp::from_millis(1_000));
        let late = ids.event(Timestamp::from_millis(2_000));
        assert!(early < late);
        assert_eq!(IdSource::seeded(7).event(Timestamp::from_millis(1_000)), early);
        let booking = BookingId::of_attempt(&ids.hold(&early, Timestamp::default()), 3);
        assert!(is_id(booking.as_str()), "a booking's id is the longest and still an id");
    }
}
