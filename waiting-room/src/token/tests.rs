//! Queue tokens: what they carry, and that nothing but what we signed is ever read.
use super::*;
use ledger::keys::{KeySet, make, rotate};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn queue(id: &str) -> QueueId {
    QueueId::parse(id).unwrap()
}

fn token(number: Option<u64>, account: Option<&str>) -> QueueToken {
    QueueToken {
        queue: queue("evt_01kdqvx3g0fmhj3xtpq3j2bz8w"),
        entry: 4_711,
        number,
        account: account.map(|id| AccountId::parse(id).unwrap()),
        issued_at: NOW,
    }
}

fn read(keys: &Keyring, text: &str) -> Option<QueueToken> {
    QueueToken::read(keys, &queue("evt_01kdqvx3g0fmhj3xtpq3j2bz8w"), text, NOW)
}

/// The text with its payload changed and signed again with the ring's key.
fn signed(keys: &Keyring, payload: &[u8]) -> String {
    let keys = keys.current();
    let key = keys.signing(Purpose::QueueToken, NOW).unwrap();
    let tag = hmac::sign(key.hmac(), payload);
    BASE64.encode([payload, &tag.as_ref()[..TAG_BYTES]].concat())
}

fn payload(text: &str) -> Vec<u8> {
    let mut bytes = BASE64.decode(text).unwrap();
    bytes.truncate(bytes.len() - TAG_BYTES);
    bytes
}

#[test]
fn what_was_signed_is_read() {
    let keys = Keyring::ephemeral(NOW);
    for (number, account) in
        [(Some(4_711), None), (None, None), (Some(3), Some("acc_1")), (None, Some("a"))]
    {
        let token = token(number, account);
        assert_eq!(read(&keys, &token.sign(&keys, NOW).unwrap()), Some(token));
    }
    let text = token(Some(4_711), None).sign(&keys, NOW).unwrap();
    assert!(payload(&text).len() <= 55, "one block of SHA-256: {}", payload(&text).len());
}

#[test]
fn the_longest_ids_fit() {
    let keys = Keyring::ephemeral(NOW);
    let long = "x".repeat(ID_BYTES_MAX);
    let mut token = token(Some(u64::MAX), Some(&long));
    token.queue = queue(&long);
    let text = token.sign(&keys, NOW).unwrap();
    assert_eq!(QueueToken::read(&keys, &token.queue, &text, NOW), Some(token));
}

#[test]
fn whatever_we_did_not_sign_for_this_queue_is_refused() {
    let keys = Keyring::ephemeral(NOW);
    let text = token(Some(4_711), Some("acc_1")).sign(&keys, NOW).unwrap();
    let plain = payload(&text);
    let kid_len = usize::from(plain[1]);
    let mut other_version = plain.clone();
    other_version[0] = (VERSION + 1) << 4 | plain[0] & 0xf;
    let mut unknown_flag = plain.clone();
    unknown_flag[0] |= 8;
    let mut both_numbers = plain.clone();
    both_numbers[0] |= NUMBER_FOLLOWS;
    let mut unknown_kid = plain.clone();
    unknown_kid[2] ^= 1;
    let trailing = [&plain[..], &[0]].concat();
    let short = &plain[..plain.len() - 1];
    let table = [
        ("", "nothing"),
        ("A", "not base64"),
        (&text[..text.len() - 1], "cut short"),
        (&format!("{text}A"), "one character more"),
        (&format!("{text}="), "padding"),
        (&format!(" {text}"), "a space"),
        (&"A".repeat(TEXT_MAX + 4), "too long"),
        (&signed(&keys, &other_version), "another version"),
        (&signed(&keys, &unknown_flag), "an unknown flag"),
        (&signed(&keys, &both_numbers), "two numbers"),
        (&signed(&keys, &unknown_kid), "an unknown kid"),
        (&signed(&keys, &trailing), "a trailing byte"),
        (&signed(&keys, short), "a byte too few"),
        (&signed(&keys, &plain[..2 + kid_len]), "nothing after the kid"),
        (&signed(&Keyring::ephemeral(NOW), &plain), "another ring's key"),
    ];
    assert!(read(&keys, &text).is_some());
    for (text, what) in table {
        assert_eq!(read(&keys, text), None, "{what}");
    }
    assert_eq!(QueueToken::read(&keys, &queue("other"), &text, NOW), None, "another queue");
}

#[test]
fn base64_has_one_form_only() {
    let keys = Keyring::ephemeral(NOW);
    let text = token(Some(4_711), Some("ac")).sign(&keys, NOW).unwrap();
    // A last character with spare bits, for whichever length this token has.
    assert_ne!(text.len() % 4, 0, "this token must end in a partial group");
    let last = text.chars().last().unwrap();
    let spare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = spare.find(last).unwrap();
    let twisted = format!("{}{}", &text[..text.len() - 1], &spare[at + 1..at + 2]);
    assert_eq!(read(&keys, &twisted), None);
}

#[test]
fn times_ahead_of_the_clock_are_refused() {
    let keys = Keyring::ephemeral(NOW);
    for (ahead, accepted) in [(-1_000_000, true), (0, true), (5_000, true), (5_001, false)] {
        let token = QueueToken { issued_at: NOW.plus_millis(ahead), ..token(Some(1), None) };
        let text = token.sign(&keys, NOW).unwrap();
        assert_eq!(read(&keys, &text).is_some(), accepted, "{ahead}");
    }
}

#[test]
fn tokens_outlive_a_rotation_and_die_with_their_key() {
    let old = make(NOW).unwrap();
    let keys = Keyring::new(KeySet::new(&old).unwrap());
    let text = token(Some(1), None).sign(&keys, NOW).unwrap();
    let both = rotate(old.clone(), NOW.plus_seconds(1), |_| NOW).unwrap();
    keys.replace(KeySet::new(&both).unwrap());
    assert!(read(&keys, &text).is_some());
    keys.replace(KeySet::new(&both[old.len()..]).unwrap());
    assert!(read(&keys, &text).is_none());
}

proptest! {
    #[test]
    fn any_flipped_bit_is_refused(bit in 0usize..8 * 100, number in any::<Option<u64>>()) {
        let keys = Keyring::ephemeral(NOW);
        let text = token(number, Some("acc_1")).sign(&keys, NOW).unwrap();
        let mut bytes = BASE64.decode(&text).unwrap();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(read(&keys, &BASE64.encode(bytes)), None);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[A-Za-z0-9_-]{0,400}", raw in ".{0,80}") {
        let keys = Keyring::ephemeral(NOW);
        prop_assert_eq!(read(&keys, &text), None);
        prop_assert_eq!(read(&keys, &raw), None);
    }
}
