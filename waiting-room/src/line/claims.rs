//! Claims: who gets a slot now, and what becomes of it.
use super::Line;
use super::bounds::{LEFT_MAX, RETRY_PRIORITY_MAX, RETRY_PRIORITY_MILLIS, TOKEN};
use crate::store::{Grant, NotYet, PlaceStatus, SlotAnswer, SlotRequest};
use ledger::{AccountId, AdmissionSource, QueueState, Timestamp};

impl Line {
    pub(crate) fn take(&mut self, request: &SlotRequest, now: Timestamp) -> SlotAnswer {
        self.advance(now);
        match request.number {
            Some(number) => self.claim(number, request),
            None => self.walk_in(request),
        }
    }

    pub(super) fn claim(&mut self, number: u64, request: &SlotRequest) -> SlotAnswer {
        let account = &request.account;
        if let Some(slot) = self.slots.get(number) {
            if slot.account != *account {
                return SlotAnswer::TokenUsed;
            }
            if !self.slots.is_live(number) {
                return SlotAnswer::Over;
            }
            return self.grant(number);
        }
        if let Some(live) = self.slots.of_account(account) {
            return self.grant(live);
        }
        if self.settings.state == QueueState::Closed {
            return SlotAnswer::Closed;
        }
        match self.place(number) {
            PlaceStatus::Waiting => return self.why_waiting().into(),
            PlaceStatus::Missed | PlaceStatus::Done => return SlotAnswer::Over,
            PlaceStatus::Admitted { .. }
            | PlaceStatus::Ready { .. }
            | PlaceStatus::Returning { .. } => {}
        }
        if !request.fresh {
            return NotYet::Waiting.into();
        }
        let certain = self.numbers.doubtful_to(number).is_none();
        let kept = certain && matches!(self.place(number), PlaceStatus::Ready { .. });
        if let Some(why) = self.refusal().or_else(|| self.refusal_unkept(kept)) {
            let after = self.turn(number, kept).ask_after(why);
            if !kept {
                self.prefer_retry(number, after);
            }
            return SlotAnswer::NotYet { why, ask_after_millis: Some(after) };
        }
        self.rate.take(TOKEN);
        if !kept {
            // Nobody paid for this one when the line was called.
            self.budget.drain(TOKEN);
        }
        if certain {
            self.calls.answer(number, true);
        }
        self.retrying.remove(&number);
        self.give(number, account, AdmissionSource::Line)
    }

    pub(super) fn walk_in(&mut self, request: &SlotRequest) -> SlotAnswer {
        let account = &request.account;
        if let Some(live) = self.slots.of_account(account) {
            return self.grant(live);
        }
        if self.settings.state == QueueState::Closed {
            return SlotAnswer::Closed;
        }
        if !request.fresh || !self.nobody_waits() {
            return NotYet::Waiting.into();
        }
        if let Some(why) = self.refusal() {
            return why.into();
        }
        if self.callable() == 0 {
            return NotYet::Waiting.into();
        }
        let (number, given) = self.numbers.give(1);
        if given == 0 {
            return SlotAnswer::NoNumbers;
        }
        self.rate.take(TOKEN);
        self.budget.drain(TOKEN);
        self.proposed = number;
        self.give(number, account, AdmissionSource::StraightThrough)
    }

    pub(super) fn give(
        &mut self,
        number: u64,
        account: &AccountId,
        source: AdmissionSource,
    ) -> SlotAnswer {
        let until = self.now.plus_seconds(self.settings.session_seconds);
        // Whole seconds, so that the slot ends exactly with the pass's `exp`.
        let until = Timestamp::from_millis(until.seconds() * 1_000);
        self.slots.give(number, account, (self.now, until), source);
        self.grant(number)
    }

    /// The live slot of `number`, to be committed unless it is.
    pub(super) fn grant(&mut self, number: u64) -> SlotAnswer {
        let Some(slot) = self.slots.get(number).cloned() else { return SlotAnswer::Over };
        if !slot.committed {
            self.slots.begin_commit(number);
        }
        let step = (number > self.now_serving).then(|| self.step_at(number));
        SlotAnswer::Granted(Grant {
            number,
            account: slot.account,
            at: slot.at,
            until: slot.until,
            source: slot.source,
            committed: slot.committed,
            step,
        })
    }

    pub(super) fn give_back(&mut self, number: u64) {
        let Some(source) = self.slots.get(number).map(|slot| slot.source) else { return };
        if !self.slots.failed(number) {
            return;
        }
        match source {
            AdmissionSource::Line => {
                if self.numbers.doubtful_to(number).is_none() {
                    self.calls.answer(number, false);
                }
            }
            // Whoever went straight through has no token: the number has no holder any more.
            AdmissionSource::StraightThrough => {
                self.left.insert(number);
            }
        }
    }

    pub(super) fn leave(&mut self, number: u64) {
        let gone = self.slots.get(number).is_some()
            || number > self.numbers.given()
            || self.left.len() >= LEFT_MAX
            || !self.left.insert(number);
        if gone || self.numbers.doubtful_to(number).is_some() {
            return;
        }
        if number <= self.now_serving {
            self.calls.answer(number, true);
        } else if number <= self.proposed {
            self.pending = self.pending.saturating_sub(1);
        }
    }

    pub(super) fn why_waiting(&self) -> NotYet {
        match self.settings.state {
            QueueState::PreQueue | QueueState::Paused => NotYet::Paused,
            QueueState::Open | QueueState::Closed => NotYet::Waiting,
        }
    }

    /// Why nobody at all could be granted a slot now.
    pub(super) fn refusal(&self) -> Option<NotYet> {
        if self.settings.state != QueueState::Open {
            Some(NotYet::Paused)
        } else if self.slots.active() >= u64::from(self.settings.capacity) {
            Some(NotYet::Full)
        } else if self.rate.units() < TOKEN {
            Some(NotYet::Rate)
        } else {
            None
        }
    }

    /// Those for whom no room is kept any more take what is left beside those for whom it is.
    pub(super) fn refusal_unkept(&self, kept: bool) -> Option<NotYet> {
        (!kept && self.free_for_calls() == 0).then_some(NotYet::Full)
    }

    /// Somebody late was refused: the next room is theirs, who were in line before the others.
    pub(super) fn prefer_retry(&mut self, number: u64, after_millis: i64) {
        if self.retrying.len() < RETRY_PRIORITY_MAX || self.retrying.contains_key(&number) {
            let millis = after_millis + after_millis / 4 + RETRY_PRIORITY_MILLIS;
            self.retrying.insert(number, self.now.plus_millis(millis));
        }
    }
}
