//! When somebody who was called and refused should ask again: when it can be granted.
use super::Line;
use super::bounds::{ASK_MILLIS_MIN, TOKEN};
use crate::store::{NotYet, PlaceStatus};

/// What decides when a refused claim can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// Called and unanswered, and before this place.
    pub(super) before: u64,
    pub(super) rate_per_minute: u32,
    /// Until the bucket has a token.
    pub(super) token_millis: i64,
    /// Until a slot surely ends; `None` when none is in use.
    pub(super) slot_millis: Option<i64>,
    /// How long the room of this place is kept; the whole window for those who came late.
    pub(super) kept_millis: i64,
}

impl Turn {
    /// Not before those called earlier can have had their tokens, nor so late that the room kept
    /// is lost: half of what is left of the window, so that a second try comes in time. Slots may
    /// end early, and a pause may end at any moment, so that half is also the most one waits then.
    pub(super) fn ask_after(&self, why: NotYet) -> i64 {
        let latest = (self.kept_millis / 2).max(ASK_MILLIS_MIN);
        let turn = match why {
            NotYet::Rate => self.token_millis.saturating_add(self.rate_millis()),
            NotYet::Full => self.slot_millis.unwrap_or(0),
            NotYet::Paused | NotYet::Waiting => latest,
        };
        let least = if why == NotYet::Rate { self.token_millis } else { 0 };
        turn.clamp(ASK_MILLIS_MIN, latest).max(least)
    }

    fn rate_millis(&self) -> i64 {
        let rate = u64::from(self.rate_per_minute).max(1);
        i64::try_from(self.before.saturating_mul(TOKEN) / rate).unwrap_or(i64::MAX)
    }
}

impl Line {
    pub(super) fn turn(&self, number: u64, kept: bool) -> Turn {
        let window = i64::from(self.settings.claim_window_seconds) * 1_000;
        let kept_millis = match self.place(number) {
            PlaceStatus::Ready { left_millis } if kept => left_millis,
            _late => window,
        };
        let outstanding = self.calls.outstanding();
        let before = if kept {
            outstanding.min(number.saturating_sub(self.calls.closed_to() + 1))
        } else {
            outstanding + self.retrying.len() as u64
        };
        Turn {
            before,
            rate_per_minute: self.settings.rate_per_minute,
            token_millis: self.rate.millis_to_token(),
            slot_millis: self.slots.first_end().map(|end| end.millis_since(self.now)),
            kept_millis,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_claim_is_asked_for_again_when_it_can_be_granted() {
        use NotYet::{Full, Paused, Rate};
        let turn = |before, rate_per_minute, token_millis, slot_millis, kept_millis| Turn {
            before,
            rate_per_minute,
            token_millis,
            slot_millis,
            kept_millis,
        };
        for (case, why, turn, after) in [
            ("the next token", Rate, turn(0, 600, 100, None, 30_000), 1_000),
            ("after fifty others", Rate, turn(50, 600, 100, None, 30_000), 5_100),
            ("while room is kept", Rate, turn(500, 600, 100, None, 30_000), 15_000),
            ("the window is nearly over", Rate, turn(500, 600, 100, None, 1_500), 1_000),
            ("a token a minute", Rate, turn(3, 1, 59_000, None, 30_000), 59_000),
            ("a slot ends soon", Full, turn(0, 600, 0, Some(4_000), 30_000), 4_000),
            ("slots may end early", Full, turn(0, 600, 0, Some(600_000), 30_000), 15_000),
            ("capacity was lowered to none", Full, turn(0, 600, 0, None, 30_000), 1_000),
            ("a pause takes no window", Paused, turn(9, 600, 0, None, 30_000), 15_000),
            ("no window", Full, turn(0, 600, 0, Some(9_000), 0), 1_000),
        ] {
            assert_eq!(turn.ask_after(why), after, "{case}");
        }
    }
}
