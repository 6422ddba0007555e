//! What a look at one invariant found.

/// What is known about one invariant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// How many things were looked at.
    pub(crate) checked: u64,
    pub(crate) breaches: Vec<String>,
}

impl Verdict {
    pub(crate) fn breach(&mut self, what: String) {
        self.breaches.push(what);
    }
}
