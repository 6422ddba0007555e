//! Logins: who a request is from, as a signed token says.
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, Header, Validation};
use ledger::keys::{Keyring, Purpose, SigningError};
use ledger::{AccountId, Role, Timestamp};
use serde::{Deserialize, Serialize};

const TYP: &str = "login+jwt";

/// The clock difference between nodes that a login's start may show.
const LEEWAY_SECONDS: i64 = 5;

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub account: AccountId,
    pub role: Role,
}

impl Login {
    /// Bookings and tickets are their owner's, and an admin's to look into.
    pub(crate) fn may_see(&self, owner: &AccountId) -> bool {
        self.account == *owner || self.role == Role::Admin
    }
}

#[derive(Serialize, Deserialize)]
struct LoginClaims {
    sub: AccountId,
    role: Role,
    iat: i64,
    exp: i64,
}

/// What the `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Authorization<'h> {
    Nothing,
    Bearer(&'h str),
    /// Something that is not one bearer token.
    Other,
}

/// Signs a login for `seconds` from `now`.
pub fn sign_login(
    keys: &Keyring,
    account: &AccountId,
    role: Role,
    now: Timestamp,
    seconds: u32,
) -> Result<String, SigningError> {
    let iat = now.seconds();
    let exp = iat.saturating_add(seconds.into());
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(TYP.to_owned());
    keys.sign_jwt(
        Purpose::Login,
        header,
        &LoginClaims { sub: account.clone(), role, iat, exp },
        now,
    )
}

/// Reads a login; `None` for anything that these keys did not sign as one, or that is over.
pub(crate) fn read_login(keys: &Keyring, token: &str, now: Timestamp) -> Option<Login> {
    let mut validation = Validation::new(Algorithm::HS256);
    // Times are checked below, against the clock that was passed in.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims: LoginClaims = keys.verify_jwt(Purpose::Login, TYP, token, &validation).ok()?;
    let now = now.seconds();
    let live = claims.iat <= now.saturating_add(LEEWAY_SECONDS) && now < claims.exp;
    live.then_some(Login { account: claims.sub, role: claims.role })
}

/// The bearer token of a request.
pub(crate) fn authorization(headers: &HeaderMap) -> Authorization<'_> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (None, _) => Authorization::Nothing,
        (Some(value), None) => value.to_str().ok().and_then(bearer).unwrap_or(Authorization::Other),
        (Some(_), Some(_)) => Authorization::Other,
    }
}

fn bearer(value: &str) -> Option<Authorization<'_>> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Authorization::Bearer(token.trim()))
}

#[cfg(test)]
mod tests;
