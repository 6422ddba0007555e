//! Counting what a check looked at, and keeping the first breaches as examples.
use super::finding::{Finding, Invariant, Verdict};

/// Breaches that a finding names; the rest is counted.
const EXAMPLES_MAX: usize = 5;

/// The reason of a check that found nothing to look at: it holds by default, and proves nothing.
const NOTHING_HAPPENED: &str = "nothing happened";

#[derive(Default)]
pub(super) struct Tally {
    checked: u64,
    breaches: u64,
    examples: Vec<String>,
}

impl Tally {
    /// One more thing was looked at.
    pub(super) fn look(&mut self) {
        self.checked = self.checked.saturating_add(1);
    }

    pub(super) fn breach(&mut self, example: impl FnOnce() -> String) {
        self.breaches = self.breaches.saturating_add(1);
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }

    /// A breach unless `holds`.
    pub(super) fn demand(&mut self, holds: bool, example: impl FnOnce() -> String) {
        if !holds {
            self.breach(example);
        }
    }

    pub(super) fn finding(self, invariant: Invariant, of: &'static str) -> Finding {
        let Self { checked, breaches, examples } = self;
        let verdict = if breaches == 0 && checked == 0 {
            Verdict::NotChecked(NOTHING_HAPPENED)
        } else if breaches == 0 {
            Verdict::Held
        } else {
            let more = breaches.saturating_sub(examples.len() as u64);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let examples = examples.join("; ");
            Verdict::Broken(format!("{breaches} in {checked} {of}: {examples}{more}"))
        };
        Finding { invariant, verdict, checked, of }
    }
}
