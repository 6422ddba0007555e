//! The pace of a connection: whether it is the client's turn or ours, told by the service to the
//! socket.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Shared by a connection's socket and its service, which run in one task.
#[derive(Default)]
pub(crate) struct Pace {
    /// Odd while a request is being answered; each turn adds one.
    turns: AtomicU32,
    /// The last request's body was left unread.
    linger: AtomicBool,
}

impl Pace {
    /// A request's head has come, or its answer is on the way.
    fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn turns(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Close slowly: what the client still sends would otherwise destroy the answer on its way.
    pub(crate) fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lingers(&self) -> bool {
        self.linger.load(Ordering::Relaxed)
    }
}

/// Whether a number of turns means that a request is being answered.
pub(crate) fn is_ours(turns: u32) -> bool {
    turns % 2 == 1
}

/// Our turn, until it is dropped with the answer's body.
pub(crate) struct Turn(Arc<Pace>);

impl Turn {
    pub(crate) fn begin(pace: &Arc<Pace>) -> Self {
        pace.turn();
        Self(pace.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.turn();
    }
}
