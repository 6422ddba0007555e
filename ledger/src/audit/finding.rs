//! What the audit says, an invariant at a time.

/// The invariants by number; `invariants.md` in the documentation words them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    I1 = 1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
    I11,
    I12,
    I13,
    I14,
    I15,
    I16,
    I17,
    I18,
    I19,
    I20,
    I21,
    I22,
}

impl Invariant {
    pub const ALL: [Self; 22] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
        Self::I12,
        Self::I13,
        Self::I14,
        Self::I15,
        Self::I16,
        Self::I17,
        Self::I18,
        Self::I19,
        Self::I20,
        Self::I21,
        Self::I22,
    ];
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "I{}", *self as u8)
    }
}

/// How an invariant fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Held,
    /// How many breaches, and the first of them.
    Broken(String),
    /// Why not.
    NotChecked(&'static str),
}

/// What the audit says of one invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub invariant: Invariant,
    pub verdict: Verdict,
    /// How many of the things named by `of` were looked at.
    pub checked: u64,
    pub of: &'static str,
}

impl Finding {
    pub(super) fn not_checked(invariant: Invariant, reason: &'static str) -> Self {
        Self { invariant, verdict: Verdict::NotChecked(reason), checked: 0, of: "" }
    }

    pub fn is_broken(&self) -> bool {
        matches!(self.verdict, Verdict::Broken(_))
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { invariant, verdict, checked, of } = self;
        match verdict {
            Verdict::Held => write!(f, "{invariant} held {checked} {of} checked"),
            Verdict::Broken(detail) => write!(f, "{invariant} BROKEN {detail}"),
            Verdict::NotChecked(reason) => write!(f, "{invariant} not checked: {reason}"),
        }
    }
}
