//! The keyring: rotation, strictness, and the file's rights.
use super::*;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn sign(ring: &Keyring, purpose: Purpose, typ: &str, now: Timestamp) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(typ.into());
    ring.sign_jwt(purpose, header, &json!({"sub": "x"}), now).unwrap()
}

fn accepts(ring: &Keyring, purpose: Purpose, typ: &str, token: &str) -> bool {
    let validation = validation(purpose.algorithm());
    ring.verify_jwt::<serde_json::Value>(purpose, typ, token, &validation).is_ok()
}

#[test]
fn a_token_counts_for_its_own_purpose_and_type_only() {
    let ring = Keyring::ephemeral(NOW);
    for purpose in [Purpose::Pass, Purpose::Ticket, Purpose::Login] {
        let token = sign(&ring, purpose, "a+jwt", NOW);
        assert!(accepts(&ring, purpose, "a+jwt", &token));
        assert!(!accepts(&ring, purpose, "b+jwt", &token));
        for other in Purpose::ALL.into_iter().filter(|other| *other != purpose) {
            assert!(!accepts(&ring, other, "a+jwt", &token), "{purpose:?} as {other:?}");
        }
        assert!(!accepts(&Keyring::ephemeral(NOW), purpose, "a+jwt", &token));
    }
}

#[test]
fn a_new_key_signs_late_and_an_old_one_verifies_until_it_is_dropped() {
    let old = make(NOW).unwrap();
    let later = NOW.plus_seconds(1_000);
    let both = rotate(old.clone(), later, |_| NOW).unwrap();
    assert_eq!(both.len(), 8);
    let ring = Keyring::new(KeySet::new(&both).unwrap());
    let kid = |now| ring.current().signing(Purpose::Pass, now).unwrap().kid.clone();
    let old_kid = &old.iter().find(|key| key.purpose == Purpose::Pass).unwrap().kid;
    assert_eq!(&kid(later.plus_seconds(SIGNS_AFTER_SECONDS - 1)), old_kid);
    assert_ne!(&kid(later.plus_seconds(SIGNS_AFTER_SECONDS)), old_kid);

    let token = sign(&ring, Purpose::Pass, "t", later);
    let far = later.plus_seconds(100_000);
    let dropped = rotate(both, far, |_| far).unwrap();
    assert!(accepts(&ring, Purpose::Pass, "t", &token));
    ring.replace(KeySet::new(&dropped).unwrap());
    assert!(!accepts(&ring, Purpose::Pass, "t", &token));
}

#[test]
fn files_are_for_their_owner_and_are_checked_when_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let records = make(NOW).unwrap();
    save(&path, &records, false).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(load(&path).unwrap().len(), 4);
    assert!(matches!(save(&path, &records, false), Err(KeysError::Write { .. })));

    save(&path, &records[..3], true).unwrap();
    assert!(matches!(load(&path), Err(KeysError::Missing(_))));
    std::fs::write(&path, "{\n\"keys\": \"a secret\"}").unwrap();
    let malformed = load(&path).err().unwrap();
    assert!(matches!(malformed, KeysError::Malformed { line: 2, .. }));
    assert!(!format!("{malformed:?}").contains("a secret"));
    let weak = json!({"keys": [
        {"kid": "a", "purpose": "login", "added_at": 0, "secret": "c2hvcnQ"},
    ]});
    let weak: Vec<KeyRecord> = serde_json::from_value(weak["keys"].clone()).unwrap();
    assert!(matches!(KeySet::new(&weak), Err(KeysError::Unsound { .. })));
}

#[test]
fn a_file_that_everybody_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    save(&path, &make(NOW).unwrap(), false).unwrap();
    for (mode, refused) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let exposed = matches!(load(&path), Err(KeysError::Exposed { .. }));
        assert_eq!(exposed, refused, "{mode:o}");
    }
    // Replacing the file takes its rights back, and leaves nothing else behind.
    save(&path, &make(NOW).unwrap(), true).unwrap();
    assert_eq!(load(&path).unwrap().len(), 4);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_kid_names_one_key() {
    let mut records = make(NOW).unwrap();
    records[1].kid = records[0].kid.clone();
    assert!(matches!(KeySet::new(&records), Err(KeysError::Unsound { .. })));
}

#[test]
fn tokens_that_insist_on_more_are_refused() {
    let ring = Keyring::ephemeral(NOW);
    for crit in [None, Some(vec!["exp".to_owned()])] {
        let mut header = Header::new(Algorithm::EdDSA);
        (header.typ, header.crit) = (Some("t".into()), crit.clone());
        let token = ring.sign_jwt(Purpose::Pass, header, &json!({}), NOW).unwrap();
        assert_eq!(accepts(&ring, Purpose::Pass, "t", &token), crit.is_none());
    }
}

#[test]
fn the_published_keys_verify_passes_and_tell_no_secret() {
    let ring = Keyring::ephemeral(NOW);
    let set = ring.current().jwks();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2);
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(set).unwrap();
    let token = sign(&ring, Purpose::Pass, "t", NOW);
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let rules = validation(Algorithm::EdDSA);
    assert!(jsonwebtoken::decode::<serde_json::Value>(&token, &key, &rules).is_ok());
}
