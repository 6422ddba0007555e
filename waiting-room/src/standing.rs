//! Where somebody stands in line, as `/me` tells it.
use serde::Serialize;

/// The state of one place in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    PreQueue,
    Waiting,
    /// Called: may claim now, and room is kept.
    Ready,
    /// The claim window passed; may still claim when there is room.
    Returning,
    Admitted,
    Missed,
    /// The session is over.
    Done,
    SoldOut,
    Closed,
}

/// A range of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Eta {
    pub min: u64,
    pub max: u64,
}

/// The answer of `/me`, of a join, and of each server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub state: PlaceState,
    pub entry: u64,
    pub number: Option<u64>,
    /// How many are before this place; 0 once called.
    pub ahead: Option<u64>,
    pub eta_seconds: Option<Eta>,
    pub paused: bool,
    pub ready_expires_in: Option<i64>,
    pub return_expires_in: Option<i64>,
    pub session_expires_in: Option<i64>,
    pub poll_after_ms: u64,
}
