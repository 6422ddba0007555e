//! Canaries: the secrets that a run made, and where they must not turn up (`no-secret-leaks`).
use crate::verdict::Verdict;
use anyhow::Context;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes at the end of a secret that identify it: of a signed token its signature, which no two
/// tokens share.
const FINGERPRINT_BYTES: usize = 16;
/// Logs are read in pieces of this many bytes.
const PIECE_BYTES: usize = 1 << 20;

/// What kind of secret was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Secret {
    Password,
    LoginToken,
    QueueToken,
    Pass,
    PaymentToken,
}

/// The end of a secret: enough to find it again, and less to keep than all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; FINGERPRINT_BYTES]);

/// Every secret of a run.
#[derive(Debug, Default)]
pub(crate) struct Canaries {
    known: HashMap<Fingerprint, Secret>,
    verdict: Verdict,
}

impl Secret {
    fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::LoginToken => "login token",
            Self::QueueToken => "queue token",
            Self::Pass => "pass",
            Self::PaymentToken => "payment token",
        }
    }
}

impl Fingerprint {
    /// `None` for what is too short to be told from ordinary words.
    pub(crate) fn of(secret: &str) -> Option<Self> {
        secret.as_bytes().last_chunk().copied().map(Self)
    }
}

impl Canaries {
    pub(crate) fn add(&mut self, kind: Secret, secret: &str) {
        self.know(kind, Fingerprint::of(secret));
    }

    pub(crate) fn know(&mut self, kind: Secret, fingerprint: Option<Fingerprint>) {
        self.known.extend(fingerprint.map(|fingerprint| (fingerprint, kind)));
    }

    /// Searches one text, where nothing secret but `allowed` may be.
    pub(crate) fn search(&mut self, place: &str, text: &[u8], allowed: Option<Secret>) {
        self.verdict.checked += 1;
        for kind in self.found_in(text) {
            if Some(kind) != allowed {
                self.verdict.breaches.push(format!("a {} in {place}", kind.as_str()));
            }
        }
    }

    /// Searches a log, however long.
    pub(crate) fn search_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let place = path.display().to_string();
        let mut file = File::open(path).with_context(|| format!("opening {place}"))?;
        let mut piece = Vec::new();
        loop {
            // What lies across the border of two pieces is in neither, so the end goes along.
            piece.drain(..piece.len().saturating_sub(FINGERPRINT_BYTES - 1));
            let part = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece);
            if part.with_context(|| format!("reading {place}"))? == 0 {
                return Ok(());
            }
            self.search(&place, &piece, None);
        }
    }

    pub(crate) fn verdict(self) -> Verdict {
        self.verdict
    }

    fn found_in(&self, text: &[u8]) -> BTreeSet<Secret> {
        let windows = text.windows(FINGERPRINT_BYTES).filter_map(|window| window.first_chunk());
        windows.filter_map(|window| self.known.get(&Fingerprint(*window)).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Scratch;
    use std::io::Write;

    fn canaries() -> Canaries {
        let mut canaries = Canaries::default();
        canaries.add(Secret::Password, "correct horse battery staple");
        canaries.add(Secret::PaymentToken, "tok_canary_0123456789abcdef");
        canaries.add(Secret::Pass, "short");
        canaries
    }

    #[test]
    fn a_planted_leak_is_found_wherever_it_is() {
        let clean = "nothing secret: correct horse, tok_good, short";
        let token = "payment_token=tok_canary_0123456789abcdef ok";
        for (text, allowed, breaches) in [
            (clean, None, vec![]),
            ("it was 'correct horse battery staple'", None, vec!["a password in the log"]),
            (token, None, vec!["a payment token in the log"]),
            (token, Some(Secret::PaymentToken), vec![]),
            (token, Some(Secret::Password), vec!["a payment token in the log"]),
        ] {
            let mut canaries = canaries();
            canaries.search("the log", text.as_bytes(), allowed);
            assert_eq!(canaries.verdict().breaches, breaches, "{text}");
        }
    }

    #[test]
    fn a_log_is_searched_whole_and_across_its_pieces() {
        let scratch = Scratch::new("canaries").unwrap();
        let path = scratch.path().join("server.log");
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![b'.'; PIECE_BYTES - 20]).unwrap();
        file.write_all(b"correct horse battery staple").unwrap();
        let mut canaries = canaries();
        canaries.search_file(&path).unwrap();
        let verdict = canaries.verdict();
        assert_eq!((verdict.breaches.len(), verdict.checked), (1, 2), "{verdict:?}");
    }

    #[test]
    fn nothing_searched_is_nothing_checked() {
        assert_eq!(canaries().verdict(), Verdict::default());
    }
}
