//! What this node remembers of an event: its keys, its shape, and the letters it read last.
use super::reply::{Reply, unexpected_reply};
use super::shape::Shape;
use super::wire::Wire;
use allocator::Counts;
use ledger::{Event, StoreError, lock};
use std::sync::{Arc, Mutex};

pub(super) struct KnownEvent {
    /// Fields, letters, ends of what is held, ends of what is over, deadlines: as in copy.lua.
    pub(super) keys: [String; 5],
    shape: Shape,
    last: Mutex<Option<Letters>>,
}

/// Every place at one moment.
#[derive(Clone)]
pub(super) struct Letters {
    generation: u64,
    pub(super) changes: u64,
    pub(super) places: Arc<[u8]>,
    pub(super) counts: Counts,
}

impl KnownEvent {
    pub(super) fn of(event: &Event) -> Self {
        let keys = KEYS.map(|key| format!("seats:{{{}}}:{key}", event.id));
        Self { keys, shape: Shape::of(&event.layout), last: Mutex::new(None) }
    }

    /// Keys for a copy that is being built.
    pub(super) fn beside(&self, build: &str) -> [String; 5] {
        self.keys.each_ref().map(|key| format!("{key}:{build}"))
    }

    pub(super) fn wire<'a>(&'a self, event: &'a Event) -> Wire<'a> {
        Wire { event, shape: &self.shape }
    }

    /// The letters as they were read last, in the same generation.
    pub(super) fn last(&self, generation: u64) -> Option<Letters> {
        let last = lock(&self.last);
        last.as_ref().filter(|letters| letters.generation == generation).cloned()
    }

    /// The letters of an answer; they are left out when nothing changed since `last`.
    pub(super) fn letters(
        &self,
        generation: u64,
        last: Option<Letters>,
        reply: &mut Reply,
    ) -> Result<Letters, StoreError> {
        let changes = u64::try_from(reply.whole()?).map_err(|_| unexpected_reply())?;
        let string = reply.bytes()?;
        if string.is_empty() {
            return last.filter(|last| last.changes == changes).ok_or_else(unexpected_reply);
        }
        let places = self.shape.unpacked(&string).ok_or_else(unexpected_reply)?;
        let counts = Counts::over(&places);
        let letters = Letters { generation, changes, places: places.into(), counts };
        let mut last = lock(&self.last);
        // A late answer does not replace a newer one.
        let newer = |last: &Letters| (last.generation, last.changes) > (generation, changes);
        if !last.as_ref().is_some_and(newer) {
            *last = Some(letters.clone());
        }
        Ok(letters)
    }
}

const KEYS: [&str; 5] = ["fields", "letters", "held", "over", "paying"];

impl Letters {
    /// The letters that the caller has, as a script is given them.
    pub(super) fn changes(last: Option<&Self>) -> String {
        last.map(|last| last.changes.to_string()).unwrap_or_default()
    }
}
