//! What the audit says, an invariant at a time.

/// The invariants by number; INVARIANTS.md says what each promises.
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
    /// Every invariant with its name, in the order of their numbers.
    pub const ALL: [(Self, &str); 22] = [
        (Self::I1, "one-owner-per-seat"),
        (Self::I2, "captures-are-kept-or-refunded"),
        (Self::I3, "ledger-balances"),
        (Self::I4, "bookings-reach-an-end"),
        (Self::I5, "claim-before-charge"),
        (Self::I6, "one-capture-per-booking"),
        (Self::I7, "same-key-same-answer"),
        (Self::I8, "answers-are-true"),
        (Self::I9, "numbers-given-once"),
        (Self::I10, "admission-rate-holds"),
        (Self::I11, "capacity-holds"),
        (Self::I12, "forgeries-refused"),
        (Self::I13, "account-caps-hold"),
        (Self::I14, "all-seats-or-none"),
        (Self::I15, "history-only-grows"),
        (Self::I16, "every-message-has-its-effect"),
        (Self::I17, "holds-end-on-time"),
        (Self::I18, "legal-states-only"),
        (Self::I19, "refunds-exist-once"),
        (Self::I20, "bounded-resources"),
        (Self::I21, "no-secret-leaks"),
        (Self::I22, "progress"),
    ];

    /// What it is called, everywhere.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, name)| name)
    }

    /// Reads a number such as `I7`.
    pub fn parse(number: &str) -> Option<Self> {
        Self::ALL.iter().map(|(one, _)| *one).find(|one| one.to_string() == number)
    }
}

/// The number alone: `I7`.
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
        write!(f, "{invariant} {} ", invariant.name())?;
        match verdict {
            Verdict::Held => write!(f, "held {checked} {of} checked"),
            Verdict::Broken(detail) => write!(f, "BROKEN {detail}"),
            Verdict::NotChecked(reason) => write!(f, "not checked: {reason}"),
        }
    }
}
