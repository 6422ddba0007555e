//! The admission pass: an EdDSA JWT that any third party verifies from the published keys.
use ledger::{AccountId, SlotRef, Timestamp};

/// A verified pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionPass {
    pub slot: SlotRef,
    pub account: AccountId,
    pub issued_at: Timestamp,
    /// When pass and slot end.
    pub until: Timestamp,
}

/// A pass as it is handed out.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedPass {
    /// The JWT, for the `Admission-Pass` header.
    pub jwt: String,
    pub pass: AdmissionPass,
}
