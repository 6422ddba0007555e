//! Who was called when, on the clock of the time in which claims could be granted.
use super::bounds::{MEMORY, PRIOR, RESOLUTION_MILLIS, SHOWING_MIN};
use super::image::{CallImage, CallsImage};
use ledger::QueueSettings;
use std::collections::VecDeque;

/// Everybody, in thousandths.
const ALL: u64 = 1_000;

/// Numbers called at the same moment: those above the call before, up to `upto`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    upto: u64,
    at: i64,
    /// Holders called.
    called: u64,
    /// Of those, who claimed or left.
    answered: u64,
}

/// The calls that still matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Calls {
    calls: VecDeque<Call>,
    /// The first call whose claim window is open.
    open_from: usize,
    /// Called in an open window and not answered: room is kept for them.
    outstanding: u64,
    /// Everyone up to here was called too long ago.
    missed_to: u64,
    /// Called and answered within their window, recently.
    seen: (u64, u64),
}

/// Windows in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    pub(super) claim: i64,
    pub(super) back: i64,
}

impl From<&QueueSettings> for Windows {
    fn from(settings: &QueueSettings) -> Self {
        let millis = |seconds: u32| i64::from(seconds) * 1_000;
        Self { claim: millis(settings.claim_window_seconds), back: millis(settings.return_seconds) }
    }
}

/// How long ago a number was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    At(i64),
    TooLongAgo,
}

impl Calls {
    /// Calls everyone in `after + 1..=upto`; `answered` of them claimed or left already.
    pub(super) fn add(&mut self, upto: u64, granting: i64, called: u64, answered: u64) {
        let answered = answered.min(called);
        let at = granting.div_euclid(RESOLUTION_MILLIS) * RESOLUTION_MILLIS;
        let at = if at < granting { at + RESOLUTION_MILLIS } else { at };
        self.outstanding += called - answered;
        let open = self.open_from < self.calls.len();
        match self.calls.back_mut() {
            Some(last) if last.at >= at && open => {
                last.upto = upto;
                last.called += called;
                last.answered += answered;
            }
            Some(_) | None => self.calls.push_back(Call { upto, at, called, answered }),
        }
    }

    /// Closes the windows that have passed.
    pub(super) fn advance(&mut self, granting: i64, windows: Windows) {
        while let Some(call) = self.calls.get(self.open_from)
            && call.at + windows.claim <= granting
        {
            self.outstanding -= call.called - call.answered;
            self.seen.0 += call.called;
            self.seen.1 += call.answered;
            self.open_from += 1;
            // Call by call, so that it does not matter how often time is let pass.
            while self.seen.0 > MEMORY {
                self.seen = (self.seen.0 / 2, self.seen.1 / 2);
            }
        }
        while self.open_from > 0
            && let Some(call) = self.calls.front()
            && call.at + windows.claim + windows.back <= granting
        {
            self.missed_to = call.upto;
            self.calls.pop_front();
            self.open_from -= 1;
        }
    }

    /// Counts again after the windows changed.
    pub(super) fn rewindow(&mut self, granting: i64, windows: Windows) {
        self.open_from = self.calls.partition_point(|call| call.at + windows.claim <= granting);
        let open = self.calls.range(self.open_from..);
        self.outstanding = open.map(|call| call.called - call.answered).sum();
    }

    /// Everyone up to `upto` was called before the oldest call that is known.
    pub(super) fn forget_to(&mut self, upto: u64) {
        self.missed_to = upto;
    }

    pub(super) fn called(&self, number: u64) -> Called {
        if number <= self.missed_to {
            return Called::TooLongAgo;
        }
        let at = self.calls.partition_point(|call| call.upto < number);
        self.calls.get(at).map_or(Called::TooLongAgo, |call| Called::At(call.at))
    }

    /// A called holder claimed or left (`true`), or what they took was given back (`false`).
    pub(super) fn answer(&mut self, number: u64, answered: bool) {
        let at = self.calls.partition_point(|call| call.upto < number);
        let open = at >= self.open_from;
        let Some(call) = self.calls.get_mut(at).filter(|_| number > self.missed_to) else { return };
        if answered && call.answered < call.called {
            call.answered += 1;
            self.outstanding -= u64::from(open);
            if !open {
                // Whoever comes late did come: late hearing must not look like no-shows, or ever
                // more are called who find no room.
                self.seen.1 = (self.seen.1 + 1).min(self.seen.0);
            }
        } else if !answered && call.answered > 0 {
            call.answered -= 1;
            self.outstanding += u64::from(open);
            if !open {
                self.seen.1 = self.seen.1.saturating_sub(1);
            }
        }
    }

    /// The last number of the calls whose windows have passed.
    pub(super) fn closed_to(&self) -> u64 {
        let last = self.open_from.checked_sub(1).and_then(|at| self.calls.get(at));
        last.map_or(self.missed_to, |call| call.upto)
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// How many of a thousand called come within their window, as measured.
    pub(super) fn showing_permille(&self) -> u64 {
        let (called, answered) = self.seen;
        let permille = (answered + PRIOR) * ALL / (called + PRIOR);
        permille.clamp(SHOWING_MIN, ALL)
    }

    pub(super) fn image(&self) -> CallsImage {
        let each = |call: &Call| CallImage {
            upto: call.upto,
            at: call.at,
            called: call.called,
            answered: call.answered,
        };
        CallsImage {
            calls: self.calls.iter().map(each).collect(),
            open_from: self.open_from,
            outstanding: self.outstanding,
            missed_to: self.missed_to,
            seen: self.seen,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn last_at(&self) -> Option<i64> {
        self.calls.back().map(|call| call.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows { claim: 1_000, back: 2_000 };

    #[test]
    fn a_call_is_open_then_late_then_forgotten() {
        let mut calls = Calls::default();
        calls.add(10, 50, 10, 0);
        calls.add(20, 90, 10, 1);
        assert_eq!(calls.outstanding(), 19, "one call: the same tenth of a second");
        assert_eq!(calls.called(15), Called::At(100));
        calls.answer(3, true);
        calls.advance(1_099, WINDOWS);
        assert_eq!(calls.outstanding(), 18);
        calls.advance(1_100, WINDOWS);
        assert_eq!((calls.outstanding(), calls.called(15)), (0, Called::At(100)));
        calls.answer(4, true);
        assert_eq!(calls.outstanding(), 0, "late comers take no kept room");
        assert_eq!(calls.closed_to(), 20);
        calls.advance(3_100, WINDOWS);
        assert_eq!(calls.called(15), Called::TooLongAgo);
        assert_eq!(
            calls,
            Calls { missed_to: 20, seen: (20, 3), ..Calls::default() },
            "late, but here"
        );
        assert_eq!(calls.closed_to(), 20);
    }

    #[test]
    fn no_shows_are_measured_slowly_and_within_bounds() {
        let mut calls = Calls::default();
        assert_eq!(calls.showing_permille(), 1_000);
        let mut call = |at: i64, called: u64, answered: u64| {
            calls.add(u64::try_from(at).unwrap(), at, called, answered);
            calls.advance(at + 5_000, WINDOWS);
            calls.showing_permille()
        };
        assert_eq!(call(10_000, 1, 0), 952);
        assert_eq!(call(20_000, 979, 500), 520);
        assert_eq!(call(30_000, 100_000, 0), SHOWING_MIN);
        assert!(call(40_000, 400_000, 400_000) > 700);
    }

    #[test]
    fn windows_may_change_while_calls_are_open() {
        let mut calls = Calls::default();
        calls.add(5, 100, 5, 0);
        calls.add(9, 800, 4, 1);
        calls.advance(900, WINDOWS);
        let short = Windows { claim: 500, back: 2_000 };
        calls.rewindow(900, short);
        calls.advance(900, short);
        assert_eq!(calls.outstanding(), 3);
        calls.rewindow(900, WINDOWS);
        assert_eq!(calls.outstanding(), 8);
    }
}
