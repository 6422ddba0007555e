//! The keys file: JSON, readable by its owner only, replaced in one step.
use super::{Key, Purpose};
use crate::clock::Timestamp;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// HMAC-SHA256 keys shorter than the hash are weak (RFC 2104, section 3).
const SECRET_BYTES: usize = 32;

/// One key as the file keeps it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    pub kid: String,
    pub purpose: Purpose,
    pub added_at: Timestamp,
    /// base64url: the HMAC secret, or the PKCS#8 document of the Ed25519 pair.
    secret: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    keys: Vec<KeyRecord>,
}

/// What is wrong with the keys or their file.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("reading the keys file {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("writing the keys file {path}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the keys file {path} is not what `tidegate keys make` writes")]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("key {kid} is weak or damaged: {detail}")]
    Unsound { kid: String, detail: &'static str },
    #[error("there is no key for {0:?}")]
    Missing(Purpose),
    #[error("making a key")]
    Make,
}

/// One fresh key for every purpose.
pub fn make(now: Timestamp) -> Result<Vec<KeyRecord>, KeysError> {
    Purpose::ALL.into_iter().map(|purpose| fresh(purpose, now)).collect()
}

/// Adds a fresh key for every purpose and drops those that nothing alive was signed with:
/// keys that were replaced before `keep_after`.
pub fn rotate(
    mut records: Vec<KeyRecord>,
    now: Timestamp,
    keep_after: impl Fn(Purpose) -> Timestamp,
) -> Result<Vec<KeyRecord>, KeysError> {
    for record in make(now)? {
        records.push(record);
    }
    let all = records.clone();
    records.retain(|record| {
        let successor = all
            .iter()
            .filter(|other| other.purpose == record.purpose && other.added_at > record.added_at)
            .map(|other| other.added_at.plus_seconds(super::SIGNS_AFTER_SECONDS))
            .min();
        successor.is_none_or(|replaced_at| replaced_at > keep_after(record.purpose))
    });
    Ok(records)
}

/// Reads and checks a keys file.
pub fn load(path: &Path) -> Result<Vec<KeyRecord>, KeysError> {
    let read = |source| KeysError::Read { path: path.into(), source };
    let mut text = String::new();
    File::open(path).map_err(read)?.read_to_string(&mut text).map_err(read)?;
    let file: KeysFile = serde_json::from_str(&text)
        .map_err(|source| KeysError::Malformed { path: path.into(), source })?;
    for purpose in Purpose::ALL {
        if !file.keys.iter().any(|record| record.purpose == purpose) {
            return Err(KeysError::Missing(purpose));
        }
    }
    file.keys.iter().try_for_each(|record| ready(record).map(drop))?;
    Ok(file.keys)
}

/// Writes a keys file for its owner only. With `replace` false an existing file is kept and the
/// call fails.
pub fn save(path: &Path, records: &[KeyRecord], replace: bool) -> Result<(), KeysError> {
    let write = |source| KeysError::Write { path: path.into(), source };
    let file = KeysFile { keys: records.to_vec() };
    let text = serde_json::to_string_pretty(&file).map_err(|e| write(e.into()))?;
    let target = if replace { path.with_extension("new") } else { path.to_owned() };
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if replace {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut out = options.open(&target).map_err(write)?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(write)?;
    if replace {
        std::fs::rename(&target, path).map_err(write)?;
    }
    Ok(())
}

fn fresh(purpose: Purpose, now: Timestamp) -> Result<KeyRecord, KeysError> {
    let secret = match purpose {
        Purpose::QueueToken | Purpose::Login => random::<SECRET_BYTES>()?.to_vec(),
        Purpose::Pass | Purpose::Ticket => Ed25519KeyPair::generate()
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(|_| KeysError::Make)?
            .as_ref()
            .to_vec(),
    };
    let kid = BASE64.encode(random::<6>()?);
    Ok(KeyRecord { kid, purpose, added_at: now, secret: BASE64.encode(secret) })
}

fn random<const N: usize>() -> Result<[u8; N], KeysError> {
    let mut bytes = [0u8; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeysError::Make)?;
    Ok(bytes)
}

/// Decodes and checks a record.
pub(super) fn ready(record: &KeyRecord) -> Result<Key, KeysError> {
    let unsound = |detail| KeysError::Unsound { kid: record.kid.clone(), detail };
    if !crate::ids::is_id(&record.kid) {
        return Err(unsound("the kid is not 1 to 64 of the characters of an id"));
    }
    let secret = BASE64.decode(&record.secret).map_err(|_| unsound("it is not base64url"))?;
    let (encoding, decoding, public) = match record.purpose {
        Purpose::QueueToken | Purpose::Login => {
            if secret.len() < SECRET_BYTES {
                return Err(unsound("an HMAC secret must have at least 32 bytes"));
            }
            if secret.iter().all(|byte| *byte == secret[0]) {
                return Err(unsound("an HMAC secret must be random"));
            }
            let keys = (EncodingKey::from_secret(&secret), DecodingKey::from_secret(&secret));
            (keys.0, keys.1, String::new())
        }
        Purpose::Pass | Purpose::Ticket => {
            let pair = Ed25519KeyPair::from_pkcs8(&secret)
                .map_err(|_| unsound("it is not an Ed25519 pair in PKCS#8"))?;
            let public = pair.public_key().as_ref();
            let keys = (EncodingKey::from_ed_der(&secret), DecodingKey::from_ed_der(public));
            (keys.0, keys.1, BASE64.encode(public))
        }
    };
    let hmac = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    let KeyRecord { kid, purpose, added_at, .. } = record.clone();
    Ok(Key { kid, purpose, added_at, encoding, decoding, hmac, public })
}
