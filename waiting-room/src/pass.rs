//! The admission pass: an EdDSA JWT that any third party verifies from the published keys.
use crate::Config;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, Header, Validation};
use ledger::keys::{Keyring, Purpose, SigningError};
use ledger::{AccountId, QueueId, SlotRef, Timestamp};
use serde::{Deserialize, Serialize};

/// The `typ` of a pass's header.
pub const PASS_TYPE: &str = "admission+jwt";

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

/// A pass is a bearer of its slot: its text never reaches a log.
impl std::fmt::Debug for IssuedPass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedPass").field("pass", &self.pass).finish_non_exhaustive()
    }
}

/// Every claim is required; `aud` is one string.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    number: u64,
    jti: String,
    iat: i64,
    exp: i64,
}

/// Makes and checks passes.
#[derive(Clone)]
pub(crate) struct Passes {
    keys: Keyring,
    issuer: String,
    leeway_seconds: u32,
}

impl Passes {
    pub(crate) fn new(keys: &Keyring, config: &Config) -> Self {
        Self {
            keys: keys.clone(),
            issuer: config.issuer.clone(),
            leeway_seconds: config.leeway_seconds,
        }
    }

    /// The same slot under the same key always has the same text: signatures are deterministic
    /// and the `jti` is derived.
    pub(crate) fn issue(
        &self,
        pass: AdmissionPass,
        now: Timestamp,
    ) -> Result<IssuedPass, SigningError> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: pass.slot.queue.as_str().to_owned(),
            sub: pass.account.as_str().to_owned(),
            number: pass.slot.number,
            jti: jti(&pass),
            iat: pass.issued_at.seconds(),
            exp: pass.until.seconds(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(PASS_TYPE.to_owned());
        let jwt = self.keys.sign_jwt(Purpose::Pass, header, &claims, now)?;
        Ok(IssuedPass { jwt, pass })
    }

    /// The pass in `jwt`, unless it is forged, for another queue, or out of its time. Whether its
    /// slot still lives is the queue store's to say.
    pub(crate) fn read(&self, queue: &QueueId, jwt: &str, now: Timestamp) -> Option<AdmissionPass> {
        let claims: Claims =
            self.keys.verify_jwt(Purpose::Pass, PASS_TYPE, jwt, &signature_only()).ok()?;
        if claims.iss != self.issuer || claims.aud != queue.as_str() {
            return None;
        }
        let leeway = i64::from(self.leeway_seconds);
        let seconds = now.seconds();
        if claims.exp.saturating_add(leeway) <= seconds
            || claims.iat.saturating_sub(leeway) > seconds
        {
            return None;
        }
        let pass = AdmissionPass {
            slot: SlotRef { queue: queue.clone(), number: claims.number },
            account: AccountId::parse(&claims.sub).ok()?,
            issued_at: Timestamp::from_millis(claims.iat.checked_mul(1_000)?),
            until: Timestamp::from_millis(claims.exp.checked_mul(1_000)?),
        };
        (claims.jti == jti(&pass)).then_some(pass)
    }
}

/// The claims are checked above, against our own clock.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn jti(pass: &AdmissionPass) -> String {
    let AdmissionPass { slot, account, issued_at, until } = pass;
    // Ids have no spaces, so different passes never spell the same text.
    let (iat, exp) = (issued_at.seconds(), until.seconds());
    let text = format!("{} {} {account} {iat} {exp}", slot.queue, slot.number);
    BASE64.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..12])
}

#[cfg(test)]
mod tests;
