//! A token bucket in whole units, so that no rounding ever lets one too many through.
use super::bounds::TOKEN;
use ledger::Timestamp;

/// Grows with time at the rate, up to one second of it or one token, whichever is more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    units: u64,
    rate_per_minute: u32,
    at: Timestamp,
}

impl Bucket {
    pub(super) fn empty(rate_per_minute: u32, now: Timestamp) -> Self {
        Self { units: 0, rate_per_minute, at: now }
    }

    pub(super) fn full(rate_per_minute: u32, now: Timestamp) -> Self {
        Self { units: burst(rate_per_minute), rate_per_minute, at: now }
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        let millis = u64::try_from(now.millis_since(self.at)).unwrap_or(0);
        self.at = self.at.max(now);
        let grown = millis.saturating_mul(u64::from(self.rate_per_minute));
        self.units = self.units.saturating_add(grown).min(burst(self.rate_per_minute));
    }

    /// The caller has advanced the bucket under the old rate.
    pub(super) fn set_rate(&mut self, rate_per_minute: u32) {
        self.rate_per_minute = rate_per_minute;
        self.units = self.units.min(burst(rate_per_minute));
    }

    pub(super) fn units(&self) -> u64 {
        self.units
    }

    /// How long until there is a whole token, at the rate; 0 when there is, or never will be.
    pub(super) fn millis_to_token(&self) -> i64 {
        let lacks = TOKEN.saturating_sub(self.units);
        let rate = u64::from(self.rate_per_minute);
        if rate == 0 { 0 } else { i64::try_from(lacks.div_ceil(rate)).unwrap_or(i64::MAX) }
    }

    /// Takes `units` if they are there. They never come back: a claim that fails later must not
    /// let another one through beside those of its own moment.
    pub(super) fn take(&mut self, units: u64) -> bool {
        let enough = self.units >= units;
        if enough {
            self.units -= units;
        }
        enough
    }

    /// Takes `units`, or what is there.
    pub(super) fn drain(&mut self, units: u64) {
        self.units = self.units.saturating_sub(units);
    }
}

/// The most a bucket holds: one second of its rate, at least one token; nothing at rate 0.
pub(super) fn burst(rate_per_minute: u32) -> u64 {
    match rate_per_minute {
        0 => 0,
        rate => (u64::from(rate) * 1_000).max(TOKEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_bucket_grows_at_its_rate_and_holds_one_second_or_one_token() {
        for (rate, millis, tokens) in [
            (60, 999, 0),
            (60, 1_000, 1),
            (60, 100_000, 1),
            (1, 59_999, 0),
            (1, 60_000, 1),
            (6_000, 10, 1),
            (6_000, 999, 99),
            (6_000, 5_000, 100),
            (60_000, 1, 1),
            (0, 1_000_000, 0),
        ] {
            let mut bucket = Bucket::empty(rate, at(0));
            bucket.advance(at(millis));
            assert_eq!(bucket.units() / TOKEN, tokens, "{rate} a minute, {millis} ms");
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_twice() {
        let mut bucket = Bucket::empty(60_000, at(0));
        bucket.advance(at(10));
        bucket.advance(at(5));
        bucket.advance(at(10));
        assert_eq!(bucket.units(), 10 * TOKEN);
    }

    #[test]
    fn a_lowered_rate_takes_the_surplus() {
        let mut bucket = Bucket::full(6_000, at(0));
        assert_eq!(bucket.units(), 100 * TOKEN);
        bucket.set_rate(60);
        assert_eq!(bucket.units(), TOKEN);
        bucket.set_rate(0);
        assert!(!bucket.take(1));
    }
}
