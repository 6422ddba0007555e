//! The pace: who gets a number, and how many are called.
use super::Line;
use super::bounds::TOKEN;
use super::bucket::burst;
use super::calls::Called;
use crate::store::{Reserve, Reserved};
use ledger::books::QueueStep;
use ledger::{QueueState, Timestamp};

impl Line {
    pub(crate) fn reserve(&mut self, request: Reserve, now: Timestamp) -> Reserved {
        self.advance(now);
        if let Some((first, last)) = request.lease {
            self.numbers.add(first, last);
        }
        let nobody_waits = self.nobody_waits();
        let (first, count) = self.numbers.give(request.count);
        let mut step = None;
        if request.straight && nobody_waits && count > 0 {
            let called = self.callable().min(count);
            step = self.step_to(self.numbers.step_from(self.proposed, called));
        }
        Reserved { first, count, left: self.numbers.left(), now_serving: self.now_serving, step }
    }

    pub(crate) fn propose(&mut self, now: Timestamp) -> Option<QueueStep> {
        self.advance(now);
        if self.settings.state != QueueState::Open || self.settings.rate_per_minute == 0 {
            return None;
        }
        self.step_to(self.numbers.step_from(self.proposed, self.callable()));
        // A step whose commit failed is proposed again.
        (self.proposed > self.now_serving).then(|| self.step_at(self.proposed))
    }

    /// Proposes a step and pays for those it calls.
    pub(super) fn step_to(&mut self, target: u64) -> Option<QueueStep> {
        if target <= self.proposed {
            return None;
        }
        let (called, answered) = self.called_in(self.proposed, target);
        self.proposed = target;
        self.pending += called - answered;
        self.budget.drain((called - answered).saturating_mul(self.call_price()));
        Some(self.step_at(target))
    }

    pub(super) fn step_at(&self, now_serving: u64) -> QueueStep {
        QueueStep { now_serving, at: self.now, granting_millis: self.granting_millis }
    }

    pub(crate) fn publish(&mut self, step: QueueStep, now: Timestamp) {
        self.advance(now);
        let upto = step.now_serving.min(self.numbers.given());
        if upto <= self.now_serving {
            return;
        }
        let (called, answered) = self.called_in(self.now_serving, upto);
        // Granting time may have passed since the step was proposed: nobody loses it.
        self.calls.add(upto, self.granting_millis, called, answered);
        self.now_serving = upto;
        self.forget_left();
        self.proposed = self.proposed.max(upto);
        let (called, answered) = self.called_in(upto, self.proposed);
        self.pending = called - answered;
    }

    /// Everyone who has a number was called, or will be by a step that is being committed.
    pub(super) fn nobody_waits(&self) -> bool {
        self.numbers.step_from(self.proposed, 0) >= self.numbers.given()
    }

    /// How many more may be called: as rate and free slots can take, plus the no-shows measured.
    pub(super) fn callable(&self) -> u64 {
        if self.settings.state != QueueState::Open {
            return 0;
        }
        let rate = u64::from(self.settings.rate_per_minute);
        let showing = self.calls.showing_permille();
        let called = self.calls.outstanding() + self.pending;
        let by_rate = self.budget.units() / self.call_price();
        let by_room = self.free_for_calls().saturating_sub(self.retrying.len() as u64);
        // All who are called could claim within their window.
        let window = u64::from(self.settings.claim_window_seconds) * 1_000 * rate;
        let soon = (burst(self.settings.rate_per_minute) + window) / TOKEN;
        let by_window = (soon * 1_000 / showing).saturating_sub(called);
        by_rate.min(by_room).min(by_window)
    }

    /// How many more could be called if only room counted.
    pub(super) fn free_for_calls(&self) -> u64 {
        let free = u64::from(self.settings.capacity).saturating_sub(self.slots.active());
        let called = self.calls.outstanding() + self.pending;
        (free * 1_000 / self.calls.showing_permille()).saturating_sub(called)
    }

    /// What calling one holder costs: a token, less what no-shows leave.
    pub(super) fn call_price(&self) -> u64 {
        TOKEN / 1_000 * self.calls.showing_permille()
    }

    /// The holders in `after + 1..=upto`, and how many of them claimed or left.
    pub(super) fn called_in(&self, after: u64, upto: u64) -> (u64, u64) {
        let called = self.numbers.certain_in(after, upto);
        let certain = |number: &u64| self.numbers.doubtful_to(*number).is_none();
        let admitted = self.slots.admitted_in(after, upto).filter(certain).count();
        let left = self.left.range(after + 1..).take_while(|n| **n <= upto).filter(|n| certain(n));
        (called, ((admitted + left.count()) as u64).min(called))
    }

    /// Given-up places that would be missed by now need not be remembered.
    fn forget_left(&mut self) {
        while let Some(first) = self.left.first().copied()
            && first <= self.now_serving
            && self.calls.called(first) == Called::TooLongAgo
        {
            self.left.pop_first();
        }
    }
}
