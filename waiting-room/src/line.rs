//! The pure core of a queue: numbers, calls, rate and slots as functions of (state, input, now).
//!
//! What waits costs nothing here: a line keeps its counters, the calls of the last minutes, and
//! those who were admitted. Time never runs backwards inside: an earlier `now` counts as the last.
mod asking;
mod claims;
mod pace;

mod bounds;
mod bucket;
mod calls;
mod image;
mod numbers;
mod slots;

use crate::store::{ClaimOutcome, PlaceStatus, QueueLoad, QueueSnapshot, SettingsChange};
pub use bounds::BOUNDS;
use bounds::EARLY_ENDS_MEMORY;
use bucket::Bucket;
use calls::{Called, Calls, Windows};
pub use image::{CallImage, CallsImage, Image, SlotImage};
use ledger::books::QueueStep;
use ledger::{QueueSettings, QueueState, Timestamp};
use numbers::Numbers;
use slots::Slots;
use std::collections::{BTreeMap, BTreeSet};

/// One queue's fast copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    generation: u64,
    settings: QueueSettings,
    revision: u64,
    numbers: Numbers,
    /// The greatest step that was published.
    now_serving: u64,
    /// The greatest step that was proposed: published, being committed, or to be tried again.
    proposed: u64,
    /// Holders called by steps that are proposed and not published, and who have not claimed.
    pending: u64,
    calls: Calls,
    slots: Slots,
    /// Places that were given up.
    left: BTreeSet<u64>,
    /// Late comers who were refused recently, and until when the next room is theirs.
    retrying: BTreeMap<u64, Timestamp>,
    /// Lets claims through, in any window no more than the rate and one burst.
    rate: Bucket,
    /// Lets calls through, so that those called can claim at the rate.
    budget: Bucket,
    /// Slots that ended before their time, and the time that slots were in use, recently.
    early_ends: u64,
    slot_millis: u64,
    /// Milliseconds in which claims could be granted.
    granting_millis: i64,
    now: Timestamp,
}

impl Line {
    /// The copy that `Books` give after a loss. The bucket starts empty, but for a queue in which
    /// nobody ever had a number.
    pub(crate) fn load(loaded: &QueueLoad, now: Timestamp) -> Self {
        let QueueLoad { queue, record, steps, admissions } = loaded;
        let certain = record.admitted_max.max(record.now_serving).max(record.lease_start);
        let rate = queue.settings.rate_per_minute;
        let bucket =
            if record.leased_to == 0 { Bucket::full(rate, now) } else { Bucket::empty(rate, now) };
        let mut line = Self {
            generation: record.generation,
            settings: queue.settings,
            revision: queue.revision,
            numbers: Numbers::load(certain, record.leased_to),
            now_serving: record.now_serving,
            proposed: record.now_serving,
            pending: 0,
            calls: Calls::default(),
            slots: Slots::default(),
            left: BTreeSet::new(),
            retrying: BTreeMap::new(),
            rate: bucket.clone(),
            budget: bucket,
            early_ends: 0,
            slot_millis: 0,
            granting_millis: steps.last().map_or(0, |step| step.granting_millis),
            now,
        };
        for row in admissions {
            line.slots.load(row, now);
        }
        line.load_steps(steps);
        line.slots.sweep(now);
        line
    }

    fn load_steps(&mut self, steps: &[QueueStep]) {
        let Some((first, rest)) = steps.split_first() else { return };
        // The first one is older than the windows, or the queue's very first.
        let mut before = 0;
        let mut kept = rest;
        if first.granting_millis + self.kept_millis() <= self.granting_millis {
            before = first.now_serving;
            self.calls.forget_to(before);
        } else {
            kept = steps;
        }
        let mut at = i64::MIN;
        for step in kept {
            let (called, answered) = self.called_in(before, step.now_serving);
            // Steps are committed in order of their numbers; their clocks may overlap a little.
            at = at.max(step.granting_millis);
            self.calls.add(step.now_serving, at, called, answered);
            before = step.now_serving;
        }
        let windows = Windows::from(&self.settings);
        self.calls.rewindow(self.granting_millis, windows);
        self.calls.advance(self.granting_millis, windows);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How far back steps matter, in milliseconds of granting time.
    fn kept_millis(&self) -> i64 {
        steps_kept_millis(&self.settings)
    }

    pub(crate) fn settle(&mut self, number: u64, outcome: ClaimOutcome, now: Timestamp) {
        self.advance(now);
        match outcome {
            ClaimOutcome::Committed => self.slots.committed(number),
            ClaimOutcome::Failed => self.give_back(number),
            ClaimOutcome::Ended => {
                if self.slots.get(number).is_some_and(|slot| slot.committed)
                    && self.slots.is_live(number)
                {
                    self.slots.end(number);
                    self.ended_early();
                }
            }
            ClaimOutcome::Left => self.leave(number),
        }
    }

    pub(crate) fn configure(&mut self, change: SettingsChange, now: Timestamp) -> Timestamp {
        self.advance(now);
        let SettingsChange { settings, revision, recorded } = change;
        if revision >= self.revision {
            let rivals = !recorded && revision == self.revision;
            let settings = if rivals { forbidding(self.settings, settings) } else { settings };
            self.settings = settings;
            self.revision = revision;
            self.rate.set_rate(settings.rate_per_minute);
            self.budget.set_rate(settings.rate_per_minute);
            let windows = Windows::from(&settings);
            self.calls.rewindow(self.granting_millis, windows);
            self.calls.advance(self.granting_millis, windows);
        }
        self.now
    }

    pub(crate) fn look(
        &mut self,
        number: Option<u64>,
        now: Timestamp,
    ) -> (QueueSnapshot, Option<PlaceStatus>) {
        self.advance(now);
        let waits = self.now_serving < self.numbers.given();
        let since_step = self.granting_millis - self.calls.last_at().unwrap_or(0);
        let snapshot = QueueSnapshot {
            settings: self.settings,
            revision: self.revision,
            joined: self.numbers.given(),
            now_serving: self.now_serving,
            active: self.slots.active(),
            called: self.calls.outstanding() + self.pending + self.retrying.len() as u64,
            showing_permille: self.calls.showing_permille(),
            left_waiting: self.left.range(self.now_serving + 1..).count() as u64,
            left_ahead: number.map_or(0, |number| self.left_before(number)),
            early_ends: self.early_ends,
            slot_millis: self.slot_millis,
            ends: if number.is_none() { self.slots.ends_shown() } else { Default::default() },
            head_age_millis: if waits { since_step.max(0) } else { 0 },
        };
        (snapshot, number.map(|number| self.place(number)))
    }

    /// Places given up between those called and `number`: nobody waits behind them.
    fn left_before(&self, number: u64) -> u64 {
        let waiting = self.left.range(self.now_serving + 1..);
        waiting.take_while(|left| **left < number).count() as u64
    }

    fn place(&self, number: u64) -> PlaceStatus {
        if let Some(slot) = self.slots.get(number) {
            if !self.slots.is_live(number) {
                return PlaceStatus::Done;
            }
            let (account, committed) = (slot.account.clone(), slot.committed);
            return PlaceStatus::Admitted { account, at: slot.at, until: slot.until, committed };
        }
        if self.left.contains(&number) {
            return PlaceStatus::Done;
        }
        if number > self.now_serving {
            return PlaceStatus::Waiting;
        }
        let doubtful = self.numbers.doubtful_to(number).is_some();
        let Windows { claim, back } = Windows::from(&self.settings);
        let age = match self.calls.called(number) {
            Called::At(at) => self.granting_millis - at,
            Called::TooLongAgo if doubtful => return PlaceStatus::Returning { left_millis: None },
            Called::TooLongAgo => return PlaceStatus::Missed,
        };
        if age < claim {
            PlaceStatus::Ready { left_millis: (claim - age).min(claim) }
        } else if doubtful {
            PlaceStatus::Returning { left_millis: None }
        } else if age < claim + back {
            PlaceStatus::Returning { left_millis: Some(claim + back - age) }
        } else {
            PlaceStatus::Missed
        }
    }

    /// Lets time pass: slots end in order, and the granting clock runs while claims could be
    /// granted.
    fn advance(&mut self, now: Timestamp) {
        let now = now.max(self.now);
        while let Some(end) = self.slots.next_end(now) {
            self.run_to(end);
            self.slots.sweep(end);
        }
        self.run_to(now);
        self.slots.sweep(now);
        if !self.retrying.is_empty() {
            self.retrying.retain(|_, until| *until > now);
        }
    }

    /// A slot ended before its time. What is measured forgets by halves.
    fn ended_early(&mut self) {
        self.early_ends += 1;
        if self.early_ends >= EARLY_ENDS_MEMORY {
            self.early_ends /= 2;
            self.slot_millis /= 2;
        }
    }

    fn run_to(&mut self, now: Timestamp) {
        let millis = now.millis_since(self.now).max(0);
        if self.is_granting() {
            self.granting_millis += millis;
            self.calls.advance(self.granting_millis, Windows::from(&self.settings));
        }
        self.slot_millis += self.slots.active().saturating_mul(millis.unsigned_abs());
        self.rate.advance(now);
        self.budget.advance(now);
        self.now = self.now.max(now);
    }

    fn is_granting(&self) -> bool {
        self.settings.state == QueueState::Open
            && self.settings.rate_per_minute > 0
            && self.slots.active() < u64::from(self.settings.capacity)
    }
}

/// The old settings, but for what the new ones forbid.
pub(crate) fn forbidding(old: QueueSettings, new: QueueSettings) -> QueueSettings {
    let state = match new.state {
        QueueState::Open => old.state,
        QueueState::PreQueue | QueueState::Paused | QueueState::Closed => new.state,
    };
    QueueSettings {
        state,
        rate_per_minute: old.rate_per_minute.min(new.rate_per_minute),
        capacity: old.capacity.min(new.capacity),
        ..old
    }
}

/// How far back steps matter, in milliseconds of granting time.
pub(crate) fn steps_kept_millis(settings: &QueueSettings) -> i64 {
    let Windows { claim, back } = Windows::from(settings);
    claim + back
}

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
