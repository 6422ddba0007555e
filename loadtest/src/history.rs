//! What one person saw, in the order it was seen: the evidence that the judge works on.
use crate::canaries::{Fingerprint, Secret};
use ledger::audit::Invariant;

/// Microseconds since the run began.
pub(crate) type Micros = u64;

/// How somebody's visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Confirmed,
    Declined,
    /// Bought, and gave it back for the money.
    Refunded,
    /// Came too late for a place, or the session ran out.
    Missed,
    /// Walked away, or heard while waiting that all is sold.
    Left,
    /// Was admitted, or could have been, and got nothing.
    Refused,
    /// Something happened that must not happen.
    Error,
}

/// An acknowledged join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) entry: u64,
    pub(crate) number: Option<u64>,
    pub(crate) started: Micros,
    pub(crate) ended: Micros,
}

/// A place as a later answer told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) entry: u64,
    pub(crate) number: Option<u64>,
    /// People ahead, as the answer says.
    pub(crate) ahead: Option<u64>,
    /// People ahead by the greatest `now_serving` seen until then.
    pub(crate) at_most: Option<u64>,
}

/// How long the server said that it would be until the call, and when it said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitTold {
    pub(crate) told: Micros,
    pub(crate) least_seconds: u64,
    pub(crate) most_seconds: u64,
}

/// When somebody heard of being called, and when they had looked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) looked: Micros,
    pub(crate) heard: Micros,
}

/// Seats held, and when they certainly were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoldSeen {
    pub(crate) hold: String,
    pub(crate) seats: Vec<String>,
    /// When the lock was asked for.
    pub(crate) asked: Micros,
    /// From here on the hold was acknowledged …
    pub(crate) from: Micros,
    /// … and until here nobody but its holder may end it.
    pub(crate) until: Micros,
}

/// A booking that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BookingSeen {
    pub(crate) booking: String,
    pub(crate) seats: Vec<String>,
    /// The last status seen.
    pub(crate) status: String,
    pub(crate) tickets: usize,
}

/// One answer to a keyed request: answers to the same key must be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keyed {
    pub(crate) key: String,
    pub(crate) answer: String,
}

/// One question with a known right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The invariant that it is evidence for.
    pub(crate) invariant: Invariant,
    pub(crate) question: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) got: String,
}

/// Everything one person saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) person: u32,
    pub(crate) end: End,
    pub(crate) joined: Option<Joined>,
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) waits: Vec<WaitTold>,
    pub(crate) called: Option<Called>,
    /// How often a pass was asked for with the own place.
    pub(crate) claims: u32,
    pub(crate) admitted: bool,
    pub(crate) holds: Vec<HoldSeen>,
    pub(crate) bookings: Vec<BookingSeen>,
    pub(crate) keyed: Vec<Keyed>,
    /// What this person was given and nobody else may see, besides the login token.
    pub(crate) secrets: Vec<(Secret, Fingerprint)>,
    pub(crate) samples: Vec<Sample>,
    /// Refusals that ask to come again: 503 and 429 with `Retry-After`.
    pub(crate) sheds: u32,
    /// Requests whose answer was lost and that were sent again.
    pub(crate) lost: u32,
    pub(crate) faults: Vec<String>,
}

impl History {
    pub(crate) fn new(person: u32) -> Self {
        Self {
            person,
            end: End::Error,
            joined: None,
            sightings: Vec::new(),
            waits: Vec::new(),
            called: None,
            claims: 0,
            admitted: false,
            holds: Vec::new(),
            bookings: Vec::new(),
            keyed: Vec::new(),
            secrets: Vec::new(),
            samples: Vec::new(),
            sheds: 0,
            lost: 0,
            faults: Vec::new(),
        }
    }

    pub(crate) fn sample(
        &mut self,
        invariant: Invariant,
        question: &'static str,
        expected: &'static str,
        got: impl Into<String>,
    ) {
        self.samples.push(Sample { invariant, question, expected, got: got.into() });
    }

    pub(crate) fn was_given(&mut self, kind: Secret, secret: &str) {
        self.secrets.extend(Fingerprint::of(secret).map(|fingerprint| (kind, fingerprint)));
    }

    pub(crate) fn keyed(&mut self, key: &str, answer: impl Into<String>) {
        self.keyed.push(Keyed { key: key.to_owned(), answer: answer.into() });
    }

    /// Seats of bookings that were confirmed.
    pub(crate) fn confirmed_seats(&self) -> impl Iterator<Item = &str> {
        let confirmed = self.bookings.iter().filter(|b| b.status == "confirmed");
        confirmed.flat_map(|booking| booking.seats.iter().map(String::as_str))
    }
}
