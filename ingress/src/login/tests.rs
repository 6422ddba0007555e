//! Logins: every way in which a token can be false.
use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ledger::keys::KeySet;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn account() -> AccountId {
    AccountId::parse("acc_1").unwrap()
}

fn parts(token: &str) -> [Value; 2] {
    let mut parts = token.split('.').map(|part| BASE64.decode(part).unwrap());
    [0, 1].map(|_| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

/// A token of these parts, signed as HS256 by the ring's own login key.
fn signed(keys: &Keyring, header: &Value, claims: &Value) -> String {
    let text = unsigned(header, claims);
    let ring = keys.current();
    let key = ring.signing(Purpose::Login, NOW).unwrap();
    let signature = aws_lc_rs::hmac::sign(key.hmac(), text.as_bytes());
    format!("{text}.{}", BASE64.encode(signature.as_ref()))
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

fn changed(value: &Value, field: &str, to: Option<Value>) -> Value {
    let mut value = value.clone();
    let object = value.as_object_mut().unwrap();
    match to {
        Some(to) => object.insert(field.into(), to),
        None => object.remove(field),
    };
    value
}

#[test]
fn a_login_is_read_until_it_ends() {
    let keys = Keyring::ephemeral(NOW);
    let token = sign_login(&keys, &account(), Role::Gate, NOW, 60).unwrap();
    let read = |after| read_login(&keys, &token, NOW.plus_seconds(after));
    assert_eq!(read(0), Some(Login { account: account(), role: Role::Gate }));
    assert!(read(59).is_some());
    assert_eq!(read(60), None);
    assert_eq!(read_login(&keys, &token, NOW.plus_millis(-60_000)), None, "from the future");
    assert_eq!(read_login(&Keyring::ephemeral(NOW), &token, NOW), None, "another installation's");
}

#[test]
fn false_tokens_are_refused() {
    let keys = Keyring::ephemeral(NOW);
    let token = sign_login(&keys, &account(), Role::User, NOW, 60).unwrap();
    let [header, claims] = parts(&token);
    assert!(read_login(&keys, &signed(&keys, &header, &claims), NOW).is_some(), "the helper signs");

    let headers = [
        ("alg", Some(json!("none"))),
        ("alg", Some(json!("HS384"))),
        ("alg", Some(json!("EdDSA"))),
        ("alg", Some(json!("RS256"))),
        ("typ", Some(json!("JWT"))),
        ("typ", Some(json!("admission+jwt"))),
        ("typ", None),
        ("kid", None),
        ("kid", Some(json!("other"))),
        ("kid", Some(json!("../../dev/null"))),
        ("kid", Some(json!("' OR 1=1 --"))),
        ("kid", Some(json!(["a"]))),
    ];
    for (field, to) in headers {
        let header = changed(&header, field, to);
        assert_eq!(read_login(&keys, &signed(&keys, &header, &claims), NOW), None, "{header}");
    }
    let wrong = [
        ("sub", None),
        ("sub", Some(json!(5))),
        ("sub", Some(json!("a b"))),
        ("role", None),
        ("role", Some(json!("root"))),
        ("exp", None),
        ("exp", Some(json!("9999999999"))),
        ("exp", Some(json!(0))),
        ("iat", None),
        ("iat", Some(json!(true))),
        ("iat", Some(json!(NOW.seconds() + 60))),
    ];
    for (field, to) in wrong {
        let claims = changed(&claims, field, to);
        assert_eq!(read_login(&keys, &signed(&keys, &header, &claims), NOW), None, "{claims}");
    }
    let none = unsigned(&changed(&header, "alg", Some(json!("none"))), &claims);
    let (text, signature) = token.rsplit_once('.').unwrap();
    for forged in [
        format!("{none}."),
        none,
        format!("{text}."),
        format!("{text}.{}", signature.chars().rev().collect::<String>()),
        format!("{token}.x"),
        String::new(),
        "..".into(),
    ] {
        assert_eq!(read_login(&keys, &forged, NOW), None, "{forged}");
    }
}

#[test]
fn a_pass_or_ticket_key_does_not_sign_logins() {
    let keys = Keyring::ephemeral(NOW);
    let claims = LoginClaims {
        sub: account(),
        role: Role::Admin,
        iat: NOW.seconds(),
        exp: NOW.seconds() + 60,
    };
    for purpose in [Purpose::Pass, Purpose::Ticket, Purpose::QueueToken] {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYP.into());
        let token = keys.sign_jwt(purpose, header, &claims, NOW).unwrap();
        assert_eq!(read_login(&keys, &token, NOW), None, "{purpose:?}");
    }
}

#[test]
fn one_bearer_token_counts() {
    for (lines, expected) in [
        (vec![], Authorization::Nothing),
        (vec!["Bearer abc"], Authorization::Bearer("abc")),
        (vec!["bearer abc"], Authorization::Bearer("abc")),
        (vec!["Basic abc"], Authorization::Other),
        (vec!["abc"], Authorization::Other),
        (vec!["Bearer abc", "Bearer abc"], Authorization::Other),
    ] {
        let mut headers = HeaderMap::new();
        for line in &lines {
            headers.append(AUTHORIZATION, line.parse().unwrap());
        }
        assert_eq!(authorization(&headers), expected, "{lines:?}");
    }
}

#[test]
fn logins_outlive_a_rotation_of_their_key() {
    let records = ledger::keys::make(NOW).unwrap();
    let keys = Keyring::new(KeySet::new(&records).unwrap());
    let before = sign_login(&keys, &account(), Role::User, NOW, 3_600).unwrap();
    let later = NOW.plus_seconds(600);
    let records = ledger::keys::rotate(records, NOW.plus_seconds(60), |_| NOW).unwrap();
    keys.replace(KeySet::new(&records).unwrap());
    let after = sign_login(&keys, &account(), Role::User, later, 3_600).unwrap();
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid;
    assert_ne!(kid(&before), kid(&after), "the new key signs");
    for token in [&before, &after] {
        assert!(read_login(&keys, token, later).is_some());
    }
}
