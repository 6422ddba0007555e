//! Limits: too much from one address or account is 429, too much altogether is 503.
use crate::config::Config;
use crate::metrics::{self, Limit};
use crate::network::limited_as;
use crate::problem::{Code, Problem};
use governor::clock::{Clock, DefaultClock, QuantaInstant};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use ledger::AccountId;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

/// What one limit counts by.
type Keyed<K> = Option<DefaultKeyedRateLimiter<K>>;

/// All limits of this node; the ones that are off are `None`.
pub(crate) struct Limits {
    clock: DefaultClock,
    all: Option<DefaultDirectRateLimiter>,
    address: Keyed<IpAddr>,
    account: Keyed<AccountId>,
    login: Keyed<IpAddr>,
    register: Keyed<IpAddr>,
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
        let second = |rate, burst| {
            let quota = Quota::per_second(NonZeroU32::new(rate)?);
            Some(NonZeroU32::new(burst).map_or(quota, |burst| quota.allow_burst(burst)))
        };
        let minute = |rate| NonZeroU32::new(rate).map(Quota::per_minute);
        let address = second(config.limit_address_per_second, config.limit_address_burst);
        let account = second(config.limit_account_per_second, config.limit_account_burst);
        Self {
            clock: DefaultClock::default(),
            all: second(config.limit_all_per_second, 0).map(RateLimiter::direct),
            address: address.map(RateLimiter::keyed),
            account: account.map(RateLimiter::keyed),
            login: minute(config.limit_login_per_minute).map(RateLimiter::keyed),
            register: minute(config.limit_register_per_minute).map(RateLimiter::keyed),
        }
    }

    /// Every request: the whole node's limit, then the address's.
    pub(crate) fn request(&self, client: IpAddr) -> Result<(), Problem> {
        if let Some(all) = &self.all {
            all.check().map_err(|until| {
                metrics::refused(Limit::All);
                Problem::busy("too many requests altogether").retry_after(self.seconds(&until))
            })?;
        }
        self.keyed(&self.address, &limited_as(client), Limit::Address)
    }

    pub(crate) fn account(&self, account: &AccountId) -> Result<(), Problem> {
        self.keyed(&self.account, account, Limit::Account)
    }

    pub(crate) fn login(&self, client: IpAddr) -> Result<(), Problem> {
        self.keyed(&self.login, &limited_as(client), Limit::Login)
    }

    pub(crate) fn register(&self, client: IpAddr) -> Result<(), Problem> {
        self.keyed(&self.register, &limited_as(client), Limit::Register)
    }

    /// Forgets whoever has been quiet long enough to have a whole burst again.
    pub(crate) fn sweep(&self) {
        for keyed in [&self.address, &self.login, &self.register].into_iter().flatten() {
            keyed.retain_recent();
            keyed.shrink_to_fit();
        }
        if let Some(keyed) = &self.account {
            keyed.retain_recent();
            keyed.shrink_to_fit();
        }
    }

    /// Addresses and accounts remembered.
    pub(crate) fn remembered(&self) -> usize {
        let addresses = [&self.address, &self.login, &self.register];
        let count: usize = addresses.into_iter().flatten().map(|keyed| keyed.len()).sum();
        count + self.account.as_ref().map_or(0, |keyed| keyed.len())
    }

    fn keyed<K: Hash + Eq + Clone>(
        &self,
        limiter: &Keyed<K>,
        key: &K,
        limit: Limit,
    ) -> Result<(), Problem> {
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.check_key(key).map_err(|until| {
            metrics::refused(limit);
            Problem::new(Code::RateLimited, limit.detail()).retry_after(self.seconds(&until))
        })
    }

    /// Whole seconds until it may be tried again, rounded up.
    fn seconds(&self, until: &NotUntil<QuantaInstant>) -> u64 {
        let wait = until.wait_time_from(self.clock.now());
        wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::roomy;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_limit_counts_its_own() {
        let mut config = roomy();
        config.limit_login_per_minute = 1;
        config.limit_address_per_second = 1;
        config.limit_address_burst = 3;
        let limits = Limits::new(&config);
        let code = |answer: Result<(), Problem>| answer.err().map(|problem| problem.code());
        assert_eq!(code(limits.login(ip("192.0.2.1"))), None);
        assert_eq!(code(limits.login(ip("192.0.2.1"))), Some(Code::RateLimited));
        assert_eq!(code(limits.login(ip("192.0.2.2"))), None);
        assert_eq!(code(limits.register(ip("192.0.2.1"))), None, "a limit of 0 is off");
        let burst: Vec<_> = (0..4).map(|_| code(limits.request(ip("192.0.2.1")))).collect();
        assert_eq!(burst[..3], [None, None, None]);
        assert_eq!(burst[3], Some(Code::RateLimited));
        assert_eq!(limits.remembered(), 3);
    }

    #[test]
    fn overload_of_all_is_ours_not_theirs() {
        let limits = Limits::new(&Config { limit_all_per_second: 1, ..roomy() });
        assert!(limits.request(ip("192.0.2.1")).is_ok());
        let problem = limits.request(ip("192.0.2.2")).err().unwrap();
        assert_eq!(problem.code(), Code::Unavailable);
        assert_eq!(problem.into_response().headers()["retry-after"], "1");
    }

    #[test]
    fn a_refusal_says_how_long() {
        let limits = Limits::new(&Config { limit_register_per_minute: 1, ..roomy() });
        assert!(limits.register(ip("192.0.2.1")).is_ok());
        let answer = limits.register(ip("192.0.2.1")).err().unwrap().into_response();
        let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((50..=60).contains(&seconds), "{seconds}");
    }

    #[test]
    fn who_is_quiet_is_forgotten() {
        let mut config = roomy();
        config.limit_address_per_second = 1_000_000;
        config.limit_address_burst = 1;
        let limits = Limits::new(&config);
        for n in 0..100u8 {
            assert!(limits.request(IpAddr::from([10, 0, 0, n])).is_ok());
        }
        while limits.remembered() > 0 {
            limits.sweep();
        }
    }
}
