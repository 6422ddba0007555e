//! What the waiting room answers.
use crate::{AdmissionPass, IssuedPass, Standing};

/// The answer to a join.
#[derive(Debug)]
pub enum JoinAnswer {
    /// A new place. `token` is the signed text.
    Joined {
        token: String,
        standing: Standing,
    },
    /// The live token that was shown, and where it stands.
    Same {
        token: String,
        standing: Standing,
    },
    Closed,
    NoSuchQueue,
}

/// The answer to a claim.
#[derive(Debug)]
pub enum ClaimAnswer {
    Admitted(IssuedPass),
    NotYet(Standing),
    /// The token belongs to another account.
    TokenUsed,
    /// Too late, or the session of this place is over.
    Missed,
    Closed,
}

/// The answer to somebody who locks seats without a pass.
#[derive(Debug)]
pub enum WalkIn {
    Admitted(IssuedPass),
    QueueRequired,
    Closed,
}

/// Whether a pass opens the shop.
#[derive(Debug, PartialEq, Eq)]
pub enum PassCheck {
    Live(AdmissionPass),
    Invalid,
}
