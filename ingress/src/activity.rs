//! What a connection's socket must know of its requests: whether one is being answered.
use crate::head::BadHead;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// Shared by a connection's socket and its service, which run in one task.
#[derive(Default)]
pub(crate) struct Activity {
    /// How often a request has begun or ended: odd while one is being answered.
    changes: AtomicU32,
    /// The last request's body was left unread.
    linger: AtomicBool,
    /// Why a head was refused; no other follows it.
    refused: OnceLock<BadHead>,
}

impl Activity {
    fn change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse(&self, why: BadHead) {
        // The first refusal ends the connection.
        let _ = self.refused.set(why);
    }

    pub(crate) fn refused(&self) -> Option<BadHead> {
        self.refused.get().copied()
    }

    /// Close slowly: what the client still sends would otherwise destroy the answer on its way.
    pub(crate) fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lingers(&self) -> bool {
        self.linger.load(Ordering::Relaxed)
    }
}

/// Whether so many changes mean that a request is being answered.
pub(crate) fn is_answering(changes: u32) -> bool {
    changes % 2 == 1
}

/// A request that is being answered, until it is dropped with the answer's body.
pub(crate) struct ActiveRequest(Arc<Activity>);

impl ActiveRequest {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.change();
        Self(activity.clone())
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.change();
    }
}
