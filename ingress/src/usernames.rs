//! User names, brought to one form at the door.

/// The name of the admin that `serve` makes where none is named. Nobody can register it before.
pub const FIRST_ADMIN: &str = "admin";

/// Why a string is no user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 of the characters A-Z a-z 0-9 _ . - @ +")]
pub struct InvalidUsername;

/// The one form of a user name: lower case. Names outside a narrow alphabet are refused rather
/// than folded, so that no two that look alike are different.
pub fn normalise_username(text: &str) -> Result<String, InvalidUsername> {
    let fits = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@' | b'+'));
    if fits { Ok(text.to_ascii_lowercase()) } else { Err(InvalidUsername) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        for (text, expected) in [
            ("alice", Ok("alice")),
            ("Alice.B+tickets@Example.org", Ok("alice.b+tickets@example.org")),
            ("a", Ok("a")),
            ("", Err(InvalidUsername)),
            ("a b c", Err(InvalidUsername)),
            (" alice", Err(InvalidUsername)),
            ("älice", Err(InvalidUsername)),
            ("alice\u{200b}", Err(InvalidUsername)),
            ("alice\n", Err(InvalidUsername)),
        ] {
            assert_eq!(normalise_username(text), expected.map(String::from), "{text:?}");
        }
        assert!(normalise_username(&"x".repeat(65)).is_err());
    }
}
