//! Passes: every claim is required, and nothing but a pass of ours is one.
use super::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const IAT: i64 = 1_767_225_600;

fn queue() -> QueueId {
    QueueId::parse("evt_1").unwrap()
}

fn passes(keys: &Keyring) -> Passes {
    Passes { keys: keys.clone(), issuer: "tidegate".into(), leeway_seconds: 5 }
}

fn pass() -> AdmissionPass {
    AdmissionPass {
        slot: SlotRef { queue: queue(), number: 7 },
        account: AccountId::parse("acc_1").unwrap(),
        issued_at: NOW,
        until: NOW.plus_seconds(600),
    }
}

fn claims() -> Value {
    let (iat, exp) = (IAT, IAT + 600);
    json!({
        "iss": "tidegate", "aud": "evt_1", "sub": "acc_1", "number": 7, "jti": jti(&pass()),
        "iat": iat, "exp": exp,
    })
}

fn sign(keys: &Keyring, purpose: Purpose, typ: &str, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(typ.into());
    keys.sign_jwt(purpose, header, claims, NOW).unwrap()
}

#[test]
fn a_pass_is_read_as_it_was_issued_and_its_text_repeats() {
    let keys = Keyring::ephemeral(NOW);
    let issued = passes(&keys).issue(pass(), NOW).unwrap();
    assert_eq!(passes(&keys).read(&queue(), &issued.jwt, NOW), Some(pass()));
    assert_eq!(passes(&keys).issue(pass(), NOW.plus_seconds(3)).unwrap().jwt, issued.jwt);
    let by_hand = sign(&keys, Purpose::Pass, PASS_TYPE, &claims());
    assert_eq!(passes(&keys).read(&queue(), &by_hand, NOW), Some(pass()));
    let header = jsonwebtoken::decode_header(&issued.jwt).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("admission+jwt"), Algorithm::EdDSA));
    assert!(!format!("{issued:?}").contains(&issued.jwt));
}

#[test]
fn claims_that_are_missing_wrong_or_of_the_wrong_type_are_refused() {
    let keys = Keyring::ephemeral(NOW);
    let passes = passes(&keys);
    let check = |claims: &Value, what: &str| {
        let jwt = sign(&keys, Purpose::Pass, PASS_TYPE, claims);
        assert_eq!(passes.read(&queue(), &jwt, NOW), None, "{what}: {claims}");
    };
    for name in ["iss", "aud", "sub", "number", "jti", "iat", "exp"] {
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        check(&without, "missing");
        for wrong in [json!(null), json!([]), json!({}), json!(true)] {
            let mut twisted = claims();
            twisted[name] = wrong;
            check(&twisted, "wrong type");
        }
    }
    let table = [
        ("iss", json!("evil")),
        ("iss", json!(["tidegate"])),
        ("aud", json!("evt_2")),
        ("aud", json!(["evt_1"])),
        ("sub", json!("not an id")),
        ("sub", json!("acc_2")),
        ("number", json!("7")),
        ("number", json!(-7)),
        ("number", json!(7.5)),
        ("number", json!(8)),
        ("jti", json!("")),
        ("iat", json!("1767225600")),
        ("iat", json!(IAT + 6)),
        ("exp", json!(IAT - 5)),
        ("exp", json!(1e30)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(IAT + 601)),
    ];
    for (name, value) in table {
        let mut twisted = claims();
        twisted[name] = value;
        check(&twisted, name);
    }
}

#[test]
fn time_is_our_clock_with_a_small_leeway() {
    let keys = Keyring::ephemeral(NOW);
    let jwt = passes(&keys).issue(pass(), NOW).unwrap().jwt;
    let read = |leeway_seconds, after: i64| {
        let passes = Passes { leeway_seconds, ..passes(&keys) };
        passes.read(&queue(), &jwt, NOW.plus_millis(after)).is_some()
    };
    for (leeway, after, accepted) in [
        (0, 0, true),
        (0, 599_999, true),
        (0, 600_000, false),
        (5, 604_999, true),
        (5, 605_000, false),
        (5, -5_000, true),
        (5, -5_001, false),
        (0, -1, false),
    ] {
        assert_eq!(read(leeway, after), accepted, "{leeway} {after}");
    }
}

#[test]
fn only_our_pass_keys_algorithm_and_type_count() {
    let keys = Keyring::ephemeral(NOW);
    let passes = passes(&keys);
    let good = sign(&keys, Purpose::Pass, PASS_TYPE, &claims());
    let kid = jsonwebtoken::decode_header(&good).unwrap().kid.unwrap();
    let [_, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("a JWT") };
    let part = |value: Value| BASE64.encode(value.to_string());
    let head = |alg: &str| part(json!({"typ": PASS_TYPE, "alg": alg, "kid": kid}));
    let public = keys.current().jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
    // HS256 with the published key as its secret: algorithm confusion.
    let confused = {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(PASS_TYPE.into());
        header.kid = Some(kid.clone());
        let secret = BASE64.decode(&public).unwrap();
        let key = jsonwebtoken::EncodingKey::from_secret(&secret);
        jsonwebtoken::encode(&header, &claims(), &key).unwrap()
    };
    let kids = ["", "../keys", "x' OR '1'='1", "unknown", "/dev/null"];
    let injected = kids.map(|kid| part(json!({"typ": PASS_TYPE, "alg": "EdDSA", "kid": kid})));
    let mut table = vec![
        format!("{}.{body}.", head("none")),
        format!("{}.{body}.{signature}", head("none")),
        format!("{}.{body}.{signature}", head("HS256")),
        format!("{}.{body}.", head("EdDSA")),
        format!("{}.{body}.{signature}", part(json!({"typ": PASS_TYPE, "alg": "EdDSA"}))),
        format!("{}.{}.{signature}", head("EdDSA"), part(json!({"number": 1}))),
        confused,
        sign(&keys, Purpose::Pass, "ticket+jwt", &claims()),
        sign(&keys, Purpose::Pass, "JWT", &claims()),
        sign(&keys, Purpose::Ticket, PASS_TYPE, &claims()),
        sign(&keys, Purpose::Login, PASS_TYPE, &claims()),
        sign(&keys, Purpose::QueueToken, PASS_TYPE, &claims()),
        sign(&Keyring::ephemeral(NOW), Purpose::Pass, PASS_TYPE, &claims()),
        String::new(),
        "..".into(),
        "a.b.c".into(),
    ];
    table.extend(injected.map(|head| format!("{head}.{body}.{signature}")));
    assert!(passes.read(&queue(), &good, NOW).is_some());
    for jwt in table {
        assert_eq!(passes.read(&queue(), &jwt, NOW), None, "{jwt}");
    }
}
