//! Passwords: argon2id in a bounded pool, so that a login storm cannot slow a sale.
use crate::metrics;
use crate::problem::Problem;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The fewest and the most bytes of a password.
pub(crate) const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 6..=256;

/// The OWASP floor for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Why a password is refused or could not be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("must have 6 to 256 bytes")]
    Length,
    #[error("must have at least 12 characters, 6 different ones, and no well-known word")]
    Weak,
    #[error("could not be hashed")]
    Hash,
}

/// Hashes a password for [`ledger::Account::password_hash`]. Takes tens of milliseconds.
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    if !PASSWORD_BYTES.contains(&password.len()) {
        return Err(PasswordError::Length);
    }
    let mut salt = [0u8; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| PasswordError::Hash)?;
    hash_salted(password, &salt)
}

/// Refuses passwords that guard nothing: for the first admin of a production installation.
pub fn check_strong_password(password: &str) -> Result<(), PasswordError> {
    const KNOWN: [&str; 6] = ["password", "changeme", "letmein", "tidegate", "12345", "qwerty"];
    let lower = password.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let long_enough = password.chars().count() >= 12 && password.len() <= *PASSWORD_BYTES.end();
    let strong = long_enough && distinct.len() >= 6 && !KNOWN.iter().any(|k| lower.contains(k));
    if strong { Ok(()) } else { Err(PasswordError::Weak) }
}

/// A pool in which passwords are hashed and checked, so many at once.
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    /// Checked where there is no such account, so that the answer takes as long.
    nobody: Arc<str>,
}

impl Passwords {
    pub(crate) fn new(threads: usize, waiting_max: usize) -> Self {
        let nobody = hash_salted("the password of nobody", b"salt of nobody..")
            .expect("the parameters are sound");
        let permits = Arc::new(Semaphore::new(threads));
        Self { permits, waiting: AtomicUsize::new(0), waiting_max, nobody: nobody.into() }
    }

    pub(crate) async fn hash(&self, password: String) -> Result<String, Problem> {
        let hashed = self.run(move || hash_password(&password)).await?;
        hashed.map_err(|error| Problem::field("password", error.to_string()))
    }

    /// Whether the password fits the hash. Without a hash it never does, and takes as long.
    pub(crate) async fn fits(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        let nobody = self.nobody.clone();
        self.run(move || {
            let exists = hash.is_some();
            let hash = hash.as_deref().unwrap_or(&nobody);
            verify(&password, hash) && exists
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let waiting = Waiting::join(self)?;
        let since = Instant::now();
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Problem::busy("the server is stopping"))?;
        drop(waiting);
        metrics::password_waited(since.elapsed());
        let done = tokio::task::spawn_blocking(move || {
            // Until the work is done, not until nobody waits for it any more.
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| Problem::busy("the server is stopping"))
    }
}

/// Counted among those who wait for the pool, until it is dropped.
struct Waiting<'p>(&'p Passwords);

impl<'p> Waiting<'p> {
    fn join(pool: &'p Passwords) -> Result<Self, Problem> {
        let before = pool.waiting.fetch_add(1, Ordering::AcqRel);
        metrics::passwords_waiting(before + 1);
        let waiting = Self(pool);
        if before >= pool.waiting_max + pool.permits.available_permits() {
            metrics::password_refused();
            return Err(Problem::busy("too many logins at once").retry_after(2));
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let before = self.0.waiting.fetch_sub(1, Ordering::AcqRel);
        metrics::passwords_waiting(before.saturating_sub(1));
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are sound");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_salted(password: &str, salt: &[u8]) -> Result<String, PasswordError> {
    let hash = hasher().hash_password_with_salt(password.as_bytes(), salt);
    hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Hash)
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    #[test]
    fn hashes_are_argon2id_at_the_owasp_floor_and_salted() {
        let [one, two] = ["correct horse", "correct horse"].map(|p| hash_password(p).unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        assert!(verify("correct horse", &one));
        assert!(!verify("correct horsE", &one));
        assert!(!verify("correct horse", "not a hash"));
        for bad in ["short", &"x".repeat(257)] {
            assert_eq!(hash_password(bad), Err(PasswordError::Length));
        }
    }

    #[test]
    fn weak_admin_passwords_are_refused() {
        for weak in ["short", "aaaaaaaaaaaaaaaa", "my-password-1234", "changeme-changeme"] {
            assert_eq!(check_strong_password(weak), Err(PasswordError::Weak), "{weak}");
        }
        assert_eq!(check_strong_password("9f86d081884c7d65"), Ok(()));
    }

    #[tokio::test]
    async fn an_account_without_a_hash_never_fits() {
        let pool = Passwords::new(1, 1);
        let fits = |password: &str, hash| pool.fits(password.to_owned(), hash);
        assert!(!fits("the password of nobody", None).await.ok().unwrap());
        let hash = hash_password("a good password").unwrap();
        assert!(fits("a good password", Some(hash)).await.ok().unwrap());
    }

    #[tokio::test]
    async fn a_full_pool_refuses_at_once() {
        let pool = Arc::new(Passwords::new(1, 1));
        let held = pool.permits.clone().acquire_owned().await.unwrap();
        let first = pool.fits("x".repeat(8), None);
        tokio::pin!(first);
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        let second = pool.fits("x".repeat(8), None).await;
        assert_eq!(second.err().map(|p| p.code()), Some(Code::Unavailable));
        drop(held);
        assert!(first.await.is_ok());
        assert_eq!(pool.waiting.load(Ordering::Acquire), 0);
    }
}
