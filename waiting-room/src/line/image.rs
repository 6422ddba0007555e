//! A line just loaded, as plain data: what a copy that is kept elsewhere begins with.
use super::Line;
use crate::store::Loaded;
use ledger::{AccountId, AdmissionSource, QueueSettings, Timestamp};

/// What a line has right after it was loaded. Nothing is leased, pending or given up then.
pub(crate) struct Image {
    pub(crate) generation: u64,
    pub(crate) settings: QueueSettings,
    pub(crate) revision: u64,
    /// The greatest number given.
    pub(crate) given: u64,
    pub(crate) now_serving: u64,
    pub(crate) rate_units: u64,
    pub(crate) budget_units: u64,
    pub(crate) granting_millis: i64,
    pub(crate) calls: CallsImage,
    /// Ranges of numbers that may have no holder, ascending.
    pub(crate) doubtful: Vec<(u64, u64)>,
    /// Admitted numbers by when their slots end, so that of two slots of one account the last
    /// is the one that may be live.
    pub(crate) slots: Vec<SlotImage>,
}

pub(crate) struct CallsImage {
    pub(crate) calls: Vec<CallImage>,
    /// The first call whose claim window is open.
    pub(crate) open_from: usize,
    pub(crate) outstanding: u64,
    pub(crate) missed_to: u64,
    pub(crate) seen: (u64, u64),
}

pub(crate) struct CallImage {
    pub(crate) upto: u64,
    pub(crate) at: i64,
    pub(crate) called: u64,
    pub(crate) answered: u64,
}

pub(crate) struct SlotImage {
    pub(crate) number: u64,
    pub(crate) account: AccountId,
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) source: AdmissionSource,
    /// False when it was ended before its time; one whose time has come may still be true.
    pub(crate) live: bool,
}

impl Image {
    /// The image of what `Books` know, at no particular time: the copy has a clock of its own,
    /// and ends what is due by that.
    pub(crate) fn load(loaded: &Loaded) -> Self {
        Line::load(loaded, Timestamp::from_millis(0)).image()
    }
}

impl Line {
    /// What is counted and no answer tells.
    #[cfg(test)]
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
        let counts = counts.iter().map(|count| i64::try_from(*count).unwrap());
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
