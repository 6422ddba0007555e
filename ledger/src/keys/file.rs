//! The keys file: JSON, readable by its owner only, replaced in one step.
use super::{Key, Purpose};
use crate::clock::Timestamp;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// HMAC-SHA256 keys shorter than the hash are weak (RFC 2104, section 3).
const SECRET_BYTES: usize = 32;

/// The rights of those who are neither the owner nor of the file's group.
const OTHERS: u32 = 0o007;

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
    /// Where only: the words of a parser may quote a key.
    #[error("the keys file {path} is not what `tidegate keys make` writes (line {line})")]
    Malformed { path: PathBuf, line: usize },
    #[error("the keys file {path} is open to everybody (mode {mode:o}); chmod 600 it")]
    Exposed { path: PathBuf, mode: u32 },
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

/// Reads and checks a keys file. Whoever may read it can admit anybody, so one that is open to
/// everybody is refused; a group may be let in, as mounted secrets need.
pub fn load(path: &Path) -> Result<Vec<KeyRecord>, KeysError> {
    let read = |source| KeysError::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(read)?;
    let mode = file.metadata().map_err(read)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(KeysError::Exposed { path: path.into(), mode });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(read)?;
    let file: KeysFile = serde_json::from_str(&text)
        .map_err(|error| KeysError::Malformed { path: path.into(), line: error.line() })?;
    for purpose in Purpose::ALL {
        if !file.keys.iter().any(|record| record.purpose == purpose) {
            return Err(KeysError::Missing(purpose));
        }
    }
    all_ready(&file.keys)?;
    Ok(file.keys)
}

/// Writes a keys file for its owner only. With `replace` false an existing file is kept and the
/// call fails.
pub fn save(path: &Path, records: &[KeyRecord], replace: bool) -> Result<(), KeysError> {
    let write = |source| KeysError::Write { path: path.into(), source };
    let file = KeysFile { keys: records.to_vec() };
    let text = serde_json::to_string_pretty(&file).map_err(|e| write(e.into()))?;
    write_whole(path, text.as_bytes(), replace).map_err(write)
}

/// A file of its own, durable, then in place in one step: a crash leaves the old file or the new.
fn write_whole(path: &Path, bytes: &[u8], replace: bool) -> std::io::Result<()> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    // What a crash left behind may have other rights than we give.
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    if replace {
        std::fs::rename(&fresh, path)?;
    } else {
        // A link is refused where something is, a rename is not.
        let linked = std::fs::hard_link(&fresh, path);
        std::fs::remove_file(&fresh)?;
        linked?;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
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

/// Decodes and checks every record; a kid names one key.
pub(super) fn all_ready(records: &[KeyRecord]) -> Result<Vec<Key>, KeysError> {
    let mut kids = HashSet::new();
    for KeyRecord { kid, .. } in records {
        if !kids.insert(kid) {
            let detail = "its kid is another key's";
            return Err(KeysError::Unsound { kid: kid.clone(), detail });
        }
    }
    records.iter().map(ready).collect()
}

fn ready(record: &KeyRecord) -> Result<Key, KeysError> {
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
