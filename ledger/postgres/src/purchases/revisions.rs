//! How far a reader of claims has come, without missing what commits late.
//!
//! Numbers of a sequence are drawn in one order and committed in another, so "everything above the
//! greatest number I saw" misses whoever drew a lower one and commits later. A claim therefore
//! carries the id of the transaction that changed it last, and a reader is given the id below which
//! every transaction was over when it read. Nothing above that can be missed, but what was already
//! read above it would be given again for as long as any transaction of the server stays open. So
//! the snapshots of the last readers are remembered, and what one of them showed is left out.
use ledger::lock;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Snapshots remembered; a reader comes back within milliseconds.
const SNAPSHOTS_MAX: usize = 1_024;
/// The lowest bits of a revision tell snapshots apart that have the same oldest transaction.
const SERIAL_BITS: u32 = 16;
const SERIAL_MASK: u64 = 0xffff;

/// The snapshots that revisions were given out for.
#[derive(Default)]
pub(super) struct Revisions(Mutex<Snapshots>);

#[derive(Default)]
struct Snapshots {
    snapshots: VecDeque<(u64, String)>,
    /// The last revision given out.
    last: u64,
}

impl Revisions {
    /// The transaction to read on from, and the snapshot that was seen before.
    pub(super) fn of(&self, revision: u64) -> (i64, Option<String>) {
        let given = lock(&self.0);
        let known = given.snapshots.iter().find(|(other, _)| *other == revision);
        let from = i64::try_from(revision >> SERIAL_BITS).unwrap_or(i64::MAX);
        (from, known.map(|(_, snapshot)| snapshot.clone()))
    }

    /// The revision of a look that saw `snapshot`, in which `open` was the oldest transaction
    /// under way, and `newest` the last one that changed a claim of the event.
    pub(super) fn mark(&self, snapshot: String, open: i64, newest: i64) -> u64 {
        if newest == 0 {
            return 0;
        }
        // A server that took over counts on from the last transaction that it knows of.
        let from = u64::try_from(open.min(newest.saturating_add(1))).unwrap_or(0) << SERIAL_BITS;
        let mut given = lock(&self.0);
        let next = given.last.saturating_add(1).max(from | 1);
        if next & !SERIAL_MASK != from {
            // Its numbers are used up, or a later one was given out: it goes without a snapshot.
            return from;
        }
        given.last = next;
        given.snapshots.push_back((next, snapshot));
        if given.snapshots.len() > SNAPSHOTS_MAX {
            given.snapshots.pop_front();
        }
        next
    }
}
