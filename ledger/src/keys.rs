//! The keyring: which key signs what, under which id, and for how long an old one still counts.
mod file;

pub use file::{KeyRecord, KeysError, load, make, rotate, save};

use crate::clock::Timestamp;
use crate::lock::{read_lock, write_lock};
use aws_lc_rs::hmac;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::{Arc, RwLock};

/// A new key signs only this long after it was added, so that every node has read it by then
/// (nodes read the file every 10 s). A purpose's first key signs at once.
pub const SIGNS_AFTER_SECONDS: u32 = 120;

/// What a key is for. A key never serves two purposes, nor two algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// HMAC-SHA256 over queue tokens.
    QueueToken,
    /// Ed25519 over admission passes.
    Pass,
    /// Ed25519 over tickets.
    Ticket,
    /// HS256 over login tokens.
    Login,
}

impl Purpose {
    pub const ALL: [Self; 4] = [Self::QueueToken, Self::Pass, Self::Ticket, Self::Login];

    fn algorithm(self) -> Algorithm {
        match self {
            Self::QueueToken | Self::Login => Algorithm::HS256,
            Self::Pass | Self::Ticket => Algorithm::EdDSA,
        }
    }
}

/// A key made ready for use.
pub struct Key {
    pub kid: String,
    pub purpose: Purpose,
    pub added_at: Timestamp,
    encoding: EncodingKey,
    decoding: DecodingKey,
    hmac: hmac::Key,
    /// base64url of the Ed25519 public key; empty for HMAC keys, which have no public half.
    public: String,
}

/// All keys of one moment.
#[derive(Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("no key for {0:?} may sign yet")]
    NoKey(Purpose),
    #[error("signing a token")]
    Jwt(#[from] jsonwebtoken::errors::Error),
}

/// Why a signed text is refused. Deliberately short: the caller of a forged token learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// The keys in force, replaced as a whole when the file changes. Clones share one ring.
#[derive(Clone, Default)]
pub struct Keyring(Arc<RwLock<Arc<KeySet>>>);

impl KeySet {
    pub fn new(records: &[KeyRecord]) -> Result<Self, KeysError> {
        file::all_ready(records).map(|keys| Self { keys })
    }

    /// The newest key that may sign at `now`.
    pub fn signing(&self, purpose: Purpose, now: Timestamp) -> Option<&Key> {
        let of_purpose = || self.keys.iter().filter(move |key| key.purpose == purpose);
        let first = of_purpose().min_by_key(|key| key.added_at)?;
        of_purpose()
            .filter(|key| key.added_at.plus_seconds(SIGNS_AFTER_SECONDS) <= now)
            .max_by_key(|key| key.added_at)
            .or(Some(first))
    }

    /// The key that `kid` names; any key that is still in the ring verifies.
    pub fn verifying(&self, purpose: Purpose, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.purpose == purpose && key.kid == kid)
    }

    /// The public halves, for third parties: a JWK set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> serde_json::Value {
        let public = self.keys.iter().filter(|key| !key.public.is_empty()).map(|key| {
            serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
                "kid": key.kid, "x": key.public,
            })
        });
        serde_json::json!({ "keys": public.collect::<Vec<_>>() })
    }
}

impl Key {
    /// The key for raw HMAC-SHA256, for tokens that are not JWTs.
    pub fn hmac(&self) -> &hmac::Key {
        &self.hmac
    }
}

impl Keyring {
    pub fn new(keys: KeySet) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// A ring with one fresh key a purpose, kept nowhere: for tests and rehearsals.
    pub fn ephemeral(now: Timestamp) -> Self {
        let records = make(now).expect("the operating system has randomness");
        Self::new(KeySet::new(&records).expect("keys just made are sound"))
    }

    pub fn current(&self) -> Arc<KeySet> {
        read_lock(&self.0).clone()
    }

    pub fn replace(&self, keys: KeySet) {
        *write_lock(&self.0) = Arc::new(keys);
    }

    /// Signs `claims`; sets the header's `kid`.
    pub fn sign_jwt<T: Serialize>(
        &self,
        purpose: Purpose,
        mut header: Header,
        claims: &T,
        now: Timestamp,
    ) -> Result<String, SigningError> {
        let keys = self.current();
        let key = keys.signing(purpose, now).ok_or(SigningError::NoKey(purpose))?;
        header.alg = purpose.algorithm();
        header.kid = Some(key.kid.clone());
        Ok(jsonwebtoken::encode(&header, claims, &key.encoding)?)
    }

    /// Verifies a JWT of exactly this purpose's algorithm, `typ` and keys. Times are the caller's
    /// to check, against its own clock.
    pub fn verify_jwt<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        typ: &str,
        token: &str,
        validation: &Validation,
    ) -> Result<T, InvalidToken> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidToken)?;
        let kid = header.kid.as_deref().ok_or(InvalidToken)?;
        if header.typ.as_deref() != Some(typ) || header.alg != purpose.algorithm() {
            return Err(InvalidToken);
        }
        // A header that insists on being understood asks for what nobody here signs (RFC 7515, 4.1.11).
        if header.crit.is_some() {
            return Err(InvalidToken);
        }
        let keys = self.current();
        let key = keys.verifying(purpose, kid).ok_or(InvalidToken)?;
        let data = jsonwebtoken::decode(token, &key.decoding, validation);
        data.map(|data| data.claims).map_err(|_| InvalidToken)
    }
}

#[cfg(test)]
mod tests;
