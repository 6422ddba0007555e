//! Lateness against the bound that is set for it.
use std::fmt;
use std::time::Duration;

/// The latest that holds may end, and that nodes may show a step, at p99.
const BOUND: Duration = Duration::from_millis(250);

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lateness {
    p50: i64,
    p99: i64,
    max: i64,
}

impl Lateness {
    /// `None` when nothing was measured.
    pub(super) fn of(mut late: Vec<i64>) -> Option<Self> {
        late.sort_unstable();
        let last = late.len().checked_sub(1)?;
        let at = |share: f64| late[(last as f64 * share) as usize].max(1);
        Some(Self { p50: at(0.5), p99: at(0.99), max: at(1.0) })
    }

    /// How many times better than the bound p99 is.
    pub(super) fn ratio(self) -> f64 {
        BOUND.as_millis() as f64 / self.p99 as f64
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {} ms, p99 {} ms, most {} ms", self.p50, self.p99, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let late = Lateness::of((0..=1_000).rev().collect()).unwrap();
        assert_eq!(late, Lateness { p50: 500, p99: 990, max: 1_000 });
        assert!(Lateness::of(vec![]).is_none());
        assert!((Lateness::of(vec![125]).unwrap().ratio() - 2.0).abs() < f64::EPSILON);
    }
}
