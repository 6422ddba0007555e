//! Tickets: what a confirmed booking proves at the door, signed so that anyone can verify it.
use crate::clock::Timestamp;
use crate::ids::{AccountId, BookingId, EventId, PlaceId, TicketId};
use crate::keys::{Keyring, Purpose, SigningError};
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};

/// A ticket as the books keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub id: TicketId,
    pub booking_id: BookingId,
    pub event_id: EventId,
    pub account_id: AccountId,
    pub item: PlaceId,
    pub seat: Option<PlaceId>,
    pub label: String,
    pub issue: u32,
    pub state: TicketState,
    pub used_at: Option<Timestamp>,
}

/// Whether a ticket still opens the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    Valid,
    Used,
    /// Its booking was cancelled.
    Void,
}

impl TicketState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Used => "used",
            Self::Void => "void",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Valid, Self::Used, Self::Void].into_iter().find(|state| state.as_str() == text)
    }
}

/// The claims of a signed ticket: `typ: ticket+jwt`, EdDSA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketClaims {
    pub sub: TicketId,
    pub event: EventId,
    /// Null for general admission.
    pub seat: Option<PlaceId>,
    pub issue: u32,
    pub iat: i64,
}

const TYP: &str = "ticket+jwt";

/// Signs a ticket: the text that its QR code shows.
pub fn sign(keys: &Keyring, ticket: &Ticket, now: Timestamp) -> Result<String, SigningError> {
    let claims = TicketClaims {
        sub: ticket.id.clone(),
        event: ticket.event_id.clone(),
        seat: ticket.seat.clone(),
        issue: ticket.issue,
        iat: now.seconds(),
    };
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYP.into());
    keys.sign_jwt(Purpose::Ticket, header, &claims, now)
}

/// Reads a signed ticket; `None` for anything that these keys did not sign as a ticket.
pub fn verify(keys: &Keyring, signed: &str) -> Option<TicketClaims> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Tickets have no end of their own: whether one still counts is in the books.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    keys.verify_jwt(Purpose::Ticket, TYP, signed, &validation).ok()
}
