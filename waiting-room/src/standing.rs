//! Where somebody stands in line, as `/me` tells it.
use crate::store::PlaceStatus;
use ledger::{QueueSettings, QueueState, Timestamp};
use serde::Serialize;

/// How often somebody who was called polls, in milliseconds, where the table says more.
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

/// What a standing follows from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StandingInputs<'a> {
    pub(crate) settings: QueueSettings,
    pub(crate) opens_at: Timestamp,
    pub(crate) now_serving: u64,
    pub(crate) active: u64,
    pub(crate) sold_out: bool,
    pub(crate) poll: &'a [(Option<u64>, u64)],
    pub(crate) now: Timestamp,
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
            PlaceState::PreQueue | PlaceState::Waiting | PlaceState::SoldOut => {
                number.map(|number| number.saturating_sub(self.now_serving + 1))
            }
            PlaceState::Ready
            | PlaceState::Returning
            | PlaceState::Admitted
            | PlaceState::Missed
            | PlaceState::Done
            | PlaceState::Closed => Some(0),
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
            ahead,
            eta_seconds: ahead.filter(|_| waits).and_then(|ahead| self.eta(ahead)),
            paused: self.settings.state == QueueState::Paused,
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
        if self.settings.state == QueueState::Closed {
            return PlaceState::Closed;
        }
        if *place == PlaceStatus::Missed {
            return PlaceState::Missed;
        }
        if self.sold_out {
            return PlaceState::SoldOut;
        }
        if self.settings.state == QueueState::PreQueue {
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
        let back = i64::from(self.settings.return_seconds);
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

    /// When this place may be called. At the earliest, everyone ahead passes at the rate and
    /// slots are always free; at the latest, whoever finds no free slot waits until those before
    /// them have used up their whole sessions. Unknown while the queue is paused or lets nobody in.
    fn eta(&self, ahead: u64) -> Option<Eta> {
        let QueueSettings { state, rate_per_minute, capacity, session_seconds, .. } = self.settings;
        let opening = match state {
            QueueState::Open => 0,
            QueueState::PreQueue => self.opens_at.seconds_left(self.now),
            QueueState::Paused | QueueState::Closed => return None,
        };
        let opening = u64::try_from(opening).unwrap_or(0);
        let by_rate = (ahead.saturating_mul(60)).div_ceil(nonzero(rate_per_minute)?);
        let free = u64::from(capacity).saturating_sub(self.active);
        let without_slot = (ahead + 1).saturating_sub(free);
        let by_slots =
            without_slot.saturating_mul(u64::from(session_seconds)).div_ceil(nonzero(capacity)?);
        Some(Eta { min: opening + by_rate, max: opening + by_rate.max(by_slots) })
    }

    fn poll_after_ms(&self, state: PlaceState, ahead: Option<u64>) -> u64 {
        let nearest = self.poll.first().map_or(READY_POLL_MS, |row| row.1);
        match state {
            PlaceState::PreQueue | PlaceState::Waiting => {
                let ahead = ahead.unwrap_or(u64::MAX);
                let row = self.poll.iter().find(|row| row.0.is_none_or(|most| ahead <= most));
                row.map_or(READY_POLL_MS, |row| row.1)
            }
            PlaceState::Ready | PlaceState::Returning => nearest.min(READY_POLL_MS),
            PlaceState::Admitted
            | PlaceState::Missed
            | PlaceState::Done
            | PlaceState::SoldOut
            | PlaceState::Closed => self.poll.last().map_or(READY_POLL_MS, |row| row.1),
        }
    }
}

fn nonzero(value: u32) -> Option<u64> {
    (value > 0).then_some(u64::from(value))
}

/// Rounded up, as all that expires.
fn seconds(millis: i64) -> i64 {
    Timestamp::from_millis(millis).seconds_left(Timestamp::from_millis(0))
}

#[cfg(test)]
mod tests;
