//! Where somebody stands in line, as `/me` tells it.
use crate::outlook::{Pace, PollTable, look_after_millis, row_millis};
use crate::store::{PlaceStatus, QueueSnapshot};
use crate::wait::{Eta, eta};
use ledger::{QueueState, Timestamp, people_ahead};
use serde::Serialize;

/// How often somebody who was called looks, in milliseconds, where the table says more.
const READY_POLL_MS: u64 = 2_000;

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

/// The answer of `/me`, of a join, and of each server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    pub state: PlaceState,
    pub entry: u64,
    pub number: Option<u64>,
    /// The last number called, as far as this answer knows: clients keep the greatest they saw.
    pub now_serving: u64,
    /// How many are before this place and not called yet. It never grows.
    pub ahead: Option<u64>,
    pub eta_seconds: Option<Eta>,
    pub paused: bool,
    pub ready_expires_in: Option<i64>,
    pub return_expires_in: Option<i64>,
    pub session_expires_in: Option<i64>,
    pub poll_after_ms: u64,
}

/// What a standing follows from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StandingInputs<'a> {
    pub(crate) snapshot: QueueSnapshot,
    pub(crate) opens_at: Timestamp,
    pub(crate) sold_out: bool,
    pub(crate) slow: bool,
    pub(crate) poll: &'a PollTable,
    pub(crate) now: Timestamp,
}

impl Standing {
    /// This standing, as the answer to a claim that was refused for so long.
    pub(crate) fn asked_again_after(self, millis: Option<i64>) -> Self {
        let called = matches!(self.state, PlaceState::Ready | PlaceState::Returning);
        let after = millis.and_then(|millis| u64::try_from(millis).ok()).filter(|_| called);
        Self { poll_after_ms: after.unwrap_or(self.poll_after_ms), ..self }
    }
}

impl StandingInputs<'_> {
    /// Where `entry` stands, whose number (if drawn) is at `place`.
    pub(crate) fn standing(
        &self,
        entry: u64,
        number: Option<u64>,
        place: &PlaceStatus,
    ) -> Standing {
        let state = self.state(place);
        let ahead = match state {
            // A queue that is closed, or has sold out, may go on: nobody is moved up and back.
            PlaceState::PreQueue
            | PlaceState::Waiting
            | PlaceState::SoldOut
            | PlaceState::Closed => number.map(|number| {
                // Whoever gave up their place is not there any more.
                people_ahead(number, self.snapshot.now_serving)
                    .saturating_sub(self.snapshot.left_ahead)
            }),
            PlaceState::Ready
            | PlaceState::Returning
            | PlaceState::Admitted
            | PlaceState::Missed
            | PlaceState::Done => Some(0),
        };
        let waits = matches!(state, PlaceState::PreQueue | PlaceState::Waiting);
        let (claim, back) = self.windows_left(state, place);
        let session = match place {
            PlaceStatus::Admitted { until, .. } => Some(until.seconds_left(self.now)),
            PlaceStatus::Waiting
            | PlaceStatus::Ready { .. }
            | PlaceStatus::Returning { .. }
            | PlaceStatus::Missed
            | PlaceStatus::Done => None,
        };
        Standing {
            state,
            entry,
            number,
            now_serving: self.snapshot.now_serving,
            ahead,
            eta_seconds: ahead.filter(|_| waits).and_then(|ahead| self.eta(ahead)),
            paused: self.snapshot.settings.state == QueueState::Paused,
            ready_expires_in: claim,
            return_expires_in: back,
            session_expires_in: session,
            poll_after_ms: self.poll_after_ms(state, ahead),
        }
    }

    fn state(&self, place: &PlaceStatus) -> PlaceState {
        match place {
            PlaceStatus::Admitted { .. } => return PlaceState::Admitted,
            PlaceStatus::Done => return PlaceState::Done,
            PlaceStatus::Waiting
            | PlaceStatus::Ready { .. }
            | PlaceStatus::Returning { .. }
            | PlaceStatus::Missed => {}
        }
        if self.snapshot.settings.state == QueueState::Closed {
            return PlaceState::Closed;
        }
        if *place == PlaceStatus::Missed {
            return PlaceState::Missed;
        }
        if self.sold_out {
            return PlaceState::SoldOut;
        }
        if self.snapshot.settings.state == QueueState::PreQueue {
            return PlaceState::PreQueue;
        }
        match place {
            PlaceStatus::Ready { .. } => PlaceState::Ready,
            PlaceStatus::Returning { .. } => PlaceState::Returning,
            PlaceStatus::Waiting
            | PlaceStatus::Missed
            | PlaceStatus::Admitted { .. }
            | PlaceStatus::Done => PlaceState::Waiting,
        }
    }

    /// Seconds left to claim with room kept, and to claim at all.
    fn windows_left(&self, state: PlaceState, place: &PlaceStatus) -> (Option<i64>, Option<i64>) {
        let back = i64::from(self.snapshot.settings.return_seconds);
        match place {
            PlaceStatus::Ready { left_millis } if state == PlaceState::Ready => {
                let claim = seconds(*left_millis);
                (Some(claim), Some(claim + back))
            }
            PlaceStatus::Returning { left_millis } if state == PlaceState::Returning => {
                (None, left_millis.map(seconds))
            }
            PlaceStatus::Waiting
            | PlaceStatus::Ready { .. }
            | PlaceStatus::Returning { .. }
            | PlaceStatus::Missed
            | PlaceStatus::Admitted { .. }
            | PlaceStatus::Done => (None, None),
        }
    }

    fn eta(&self, ahead: u64) -> Option<Eta> {
        // Nobody is called while the stages behind are overloaded.
        if self.slow {
            return None;
        }
        eta(&self.snapshot, self.opens_at, self.now, ahead)
    }

    fn poll_after_ms(&self, state: PlaceState, ahead: Option<u64>) -> u64 {
        let window = u64::from(self.snapshot.settings.claim_window_seconds) * 1_000;
        match state {
            PlaceState::PreQueue | PlaceState::Waiting => {
                let row = row_millis(self.poll, ahead.unwrap_or(u64::MAX));
                // Whoever has no number yet may be the first.
                let soonest = |pace: Pace| pace.soonest_millis(ahead.unwrap_or(0));
                let pace = Pace::of(&self.snapshot, self.opens_at, self.now);
                pace.map_or(row, |pace| look_after_millis(row, soonest(pace), window))
            }
            PlaceState::Ready | PlaceState::Returning => {
                look_after_millis(row_millis(self.poll, 0), READY_POLL_MS, window)
            }
            PlaceState::Admitted
            | PlaceState::Missed
            | PlaceState::Done
            | PlaceState::SoldOut
            | PlaceState::Closed => row_millis(self.poll, u64::MAX),
        }
    }
}

/// Rounded up, as all that expires.
fn seconds(millis: i64) -> i64 {
    Timestamp::from_millis(millis).seconds_left(Timestamp::from_millis(0))
}

#[cfg(test)]
mod tests;
