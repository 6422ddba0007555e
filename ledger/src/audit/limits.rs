//! A limit over time: what it was at a moment, and how much a rate allows in a window.

/// A lowered limit counts this much later: it reaches the queue store before the books, which are
/// written by another clock.
const LOWERING_TAKES_MILLIS: i64 = 1_000;

/// A value that changes in steps.
pub(super) struct Limit {
    /// (from when on, the value), by time; the first also counts before.
    steps: Vec<(i64, u64)>,
}

impl Limit {
    /// From the changes in the order they were committed.
    pub(super) fn new(changes: impl IntoIterator<Item = (i64, u64)>) -> Self {
        let mut told: Vec<(i64, u64)> = Vec::new();
        for (at, value) in changes {
            // Two nodes' clocks may differ; the order of the commits is the order of the changes.
            let at = told.last().map_or(at, |last| at.max(last.0));
            told.push((at, value));
        }
        let mut moments: Vec<i64> = told
            .iter()
            .flat_map(|(at, _)| [*at, at.saturating_add(LOWERING_TAKES_MILLIS)])
            .collect();
        moments.sort_unstable();
        moments.dedup();
        let steps = moments.into_iter().map(|moment| (moment, in_force(&told, moment))).collect();
        Self { steps }
    }

    pub(super) fn at(&self, moment: i64) -> u64 {
        let index = self.steps.partition_point(|(from, _)| *from <= moment);
        self.steps.get(index.saturating_sub(1)).map_or(0, |(_, value)| *value)
    }

    /// The greatest value in `from..=to`.
    pub(super) fn greatest(&self, from: i64, to: i64) -> u64 {
        let within = self.steps.iter().filter(|(at, _)| (from..=to).contains(at));
        within.map(|(_, value)| *value).max().unwrap_or(0).max(self.at(from))
    }

    /// The value summed over every millisecond of `from..to`.
    pub(super) fn area(&self, from: i64, to: i64) -> u64 {
        let inner = self.steps.iter().map(|(at, _)| *at).filter(|at| (from..to).contains(at));
        let mut sum = 0u64;
        let (mut start, mut value) = (from, self.at(from));
        for moment in inner.chain([to]) {
            let millis = u64::try_from(moment.saturating_sub(start)).unwrap_or(0);
            sum = sum.saturating_add(value.saturating_mul(millis));
            (start, value) = (moment, self.at(moment));
        }
        sum
    }
}

/// The greatest value that counts at `moment`: the last one told, and those it replaced lately.
fn in_force(told: &[(i64, u64)], moment: i64) -> u64 {
    let replaced_at = told.iter().skip(1).map(|(at, _)| *at).chain([i64::MAX]);
    let alive = told.iter().zip(replaced_at).filter(|((from, _), until)| {
        *from <= moment && moment < until.saturating_add(LOWERING_TAKES_MILLIS)
    });
    let first = told.first().map_or(0, |(_, value)| *value);
    alive.map(|((_, value), _)| *value).max().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raise_counts_at_once_and_a_lowering_a_second_later() {
        let limit = Limit::new([(0, 10), (5_000, 20), (9_000, 1)]);
        let table = [(-1, 10), (0, 10), (4_999, 10), (5_000, 20), (9_999, 20), (10_000, 1)];
        for (moment, value) in table {
            assert_eq!(limit.at(moment), value, "at {moment}");
        }
        assert_eq!(limit.greatest(4_000, 4_999), 10);
        assert_eq!(limit.greatest(4_000, 5_000), 20);
        assert_eq!(limit.greatest(9_500, 20_000), 20);
        assert_eq!(limit.greatest(10_000, 20_000), 1);
    }

    #[test]
    fn areas_add_up_over_the_steps() {
        let limit = Limit::new([(0, 10), (1_000, 30)]);
        let table = [((0, 100), 1_000), ((900, 1_100), 4_000), ((-50, 50), 1_000), ((7, 7), 0)];
        for ((from, to), area) in table {
            assert_eq!(limit.area(from, to), area, "{from}..{to}");
        }
    }

    #[test]
    fn without_a_history_nothing_is_allowed() {
        let limit = Limit::new([]);
        assert_eq!((limit.at(0), limit.area(0, 1_000), limit.greatest(0, 1_000)), (0, 0, 0));
    }
}
