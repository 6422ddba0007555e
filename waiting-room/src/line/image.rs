//! A line just loaded, as plain data: what a copy that is kept elsewhere begins with.
use super::Line;
use crate::store::QueueLoad;
use ledger::{AccountId, AdmissionSource, QueueSettings, Timestamp};

/// What a line has right after it was loaded. Nothing is leased, pending or given up then.
pub struct Image {
    pub generation: u64,
    pub settings: QueueSettings,
    pub revision: u64,
    /// The greatest number given.
    pub given: u64,
    pub now_serving: u64,
    pub rate_units: u64,
    pub budget_units: u64,
    pub granting_millis: i64,
    pub calls: CallsImage,
    /// Ranges of numbers that may have no holder, ascending.
    pub doubtful: Vec<(u64, u64)>,
    /// Admitted numbers by when their slots end, so that of two slots of one account the last
    /// is the one that may be live.
    pub slots: Vec<SlotImage>,
}

pub struct CallsImage {
    pub calls: Vec<CallImage>,
    /// The first call whose claim window is open.
    pub open_from: usize,
    pub outstanding: u64,
    pub missed_to: u64,
    pub seen: (u64, u64),
}

pub struct CallImage {
    pub upto: u64,
    pub at: i64,
    pub called: u64,
    pub answered: u64,
}

pub struct SlotImage {
    pub number: u64,
    pub account: AccountId,
    pub at: Timestamp,
    pub until: Timestamp,
    pub source: AdmissionSource,
    /// False when it was ended before its time; one whose time has come may still be true.
    pub live: bool,
}

impl Image {
    /// The image of what `Books` know, at no particular time: the copy has a clock of its own,
    /// and ends what is due by that.
    pub fn load(loaded: &QueueLoad) -> Self {
        Line::load(loaded, Timestamp::from_millis(0)).image()
    }
}

impl Line {
    /// What is counted and no answer tells.
    #[cfg(any(test, feature = "conformance"))]
    pub(crate) fn counters(&self) -> Vec<i64> {
        let calls = self.calls.image();
        let counts = [
            self.numbers.given(),
            self.proposed,
            self.pending,
            self.rate.units(),
            self.budget.units(),
            self.granting_millis.unsigned_abs(),
            calls.outstanding,
            calls.missed_to,
            calls.seen.0,
            calls.seen.1,
        ];
        let counts = counts.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX));
        std::iter::once(self.now.millis()).chain(counts).collect()
    }

    fn image(&self) -> Image {
        let each = |(number, slot, live): (u64, &super::slots::Slot, bool)| SlotImage {
            number,
            account: slot.account.clone(),
            at: slot.at,
            until: slot.until,
            source: slot.source,
            live,
        };
        let mut slots: Vec<_> = self.slots.all().map(each).collect();
        slots.sort_by_key(|slot| slot.until);
        Image {
            generation: self.generation,
            settings: self.settings,
            revision: self.revision,
            given: self.numbers.given(),
            now_serving: self.now_serving,
            rate_units: self.rate.units(),
            budget_units: self.budget.units(),
            granting_millis: self.granting_millis,
            calls: self.calls.image(),
            doubtful: self.numbers.doubtful().to_vec(),
            slots,
        }
    }
}
